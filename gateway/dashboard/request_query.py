"""The request log's filters as they stand in an address: read from it, and written into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.http import urlencode

from gateway.selectors.ids import LARGEST_ID
from gateway.selectors.request_filter import DECIDED, Outcome, RequestFilter
from gateway.services.simple import Choice

WINDOWS = {
    "15m": ("last 15 minutes", timedelta(minutes=15)),
    "1h": ("last hour", timedelta(hours=1)),
    "24h": ("last 24 hours", timedelta(hours=24)),
    "7d": ("last 7 days", timedelta(days=7)),
    "30d": ("last 30 days", timedelta(days=30)),
    "all": ("all that is kept", None),
}
USUAL_WINDOW = "24h"
NO_TEAM = "-"
SIMPLE_WORDS = {
    DECIDED: "any decision",
    Choice.SENT.value: "sent to it",
    Choice.KEPT.value: "simple, kept by chance",
    Choice.SHADOW.value: "simple, only watched",
    Choice.STRONG.value: "judged complex",
}
_LONGEST = 200
_BOOLEANS = {"yes": True, "no": False}
_LARGEST_MS = 2**31 - 1

# In the order of the form: parameter, field of the filter, words.
_TEXTS = (
    ("id", "id", "Request id"),
    ("team", "team", "Team"),
    ("key", "key", "API key"),
    ("route", "route", "Route"),
    ("asked", "requested_model", "Asked for"),
    ("provider", "provider", "Provider"),
    ("model", "model", "Model"),
    ("tried", "tried_provider", "Tried at provider"),
    ("tried_model", "tried_model", "Tried model"),
    ("conversation", "conversation", "Conversation"),
    ("error", "error_code", "Error code"),
    ("cache", "cache", "Cache"),
)
_OTHERS = (
    ("outcome", "Outcome"),
    ("simple", "Cheap model"),
    ("fallback", "Fallback"),
    ("stream", "Stream"),
    ("drill", "Fire drill"),
    ("cost", "Cost from, in dollars"),
    ("latency", "Took from, in ms"),
    ("from", "From"),
    ("to", "To"),
)
LABELS = {**{parameter: words for parameter, _, words in _TEXTS}, **dict(_OTHERS)}


@dataclass(slots=True)
class RequestQuery:
    """`given` are the parameters in force; `problems` say, one sentence each, which were not understood."""

    window: str
    given: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    wanted: RequestFilter = field(default_factory=RequestFilter)

    @property
    def address(self) -> str:
        return requests_url(**self.parameters)

    @property
    def parameters(self) -> dict[str, str]:
        framed = {} if self.window in (USUAL_WINDOW, "") else {"window": self.window}
        return {**framed, **self.given}

    @property
    def chips(self) -> list[tuple[str, str, str]]:
        """Of each filter: its words, its value, and the address without it."""
        return [
            (LABELS[name], value, requests_url(**{key: one for key, one in self.parameters.items() if key != name}))
            for name, value in self.given.items()
        ]


def requests_url(**parameters: object) -> str:
    """The log with these filters; those that are "" or None are left out. `from_` stands for `from`."""
    given = {name.rstrip("_"): _text(value) for name, value in parameters.items() if value not in ("", None)}
    address = reverse("dashboard:requests")
    return f"{address}?{urlencode(given)}" if given else address


def request_query(parameters: Mapping[str, str], *, now: datetime) -> RequestQuery:
    """What cannot be understood is left out and told. A moment without an offset is in the active time zone."""
    query = RequestQuery(window=parameters.get("window") or USUAL_WINDOW)
    found: dict[str, Any] = {}
    for name, field_name, _ in _TEXTS:
        found |= _taken(query, parameters, name, field_name, _plain)
    for name, field_name, read in _READERS:
        found |= _taken(query, parameters, name, field_name, read)
    if found.get("team") == NO_TEAM:
        found["team"] = ""
    if "start" in found or "end" in found:
        query.window = ""
        found.setdefault("start", None)
    else:
        found["start"] = _window_start(query, now)
    query.wanted = RequestFilter(**found)
    return query


def _taken(
    query: RequestQuery, parameters: Mapping[str, str], name: str, field_name: str, read: Callable[[str], Any]
) -> dict[str, Any]:
    text = parameters.get(name, "").strip()
    if not text:
        return {}
    try:
        value = read(text)
    except ValueError as error:
        query.problems.append(f"{LABELS[name]}: {error}.")
        return {}
    query.given[name] = text
    return {field_name: value}


def _window_start(query: RequestQuery, now: datetime) -> datetime | None:
    if query.window not in WINDOWS:
        query.problems.append(f"window: one of {', '.join(WINDOWS)}.")
        query.window = USUAL_WINDOW
    length = WINDOWS[query.window][1]
    return None if length is None else now - length


def _plain(text: str) -> str:
    if len(text) > _LONGEST or not text.isprintable():
        raise ValueError(f"at most {_LONGEST} printable characters")
    return text


def _outcome(text: str) -> Outcome:
    try:
        return Outcome(text)
    except ValueError:
        raise ValueError(f"one of {', '.join(Outcome)}") from None


def _simple(text: str) -> str:
    if text not in SIMPLE_WORDS:
        raise ValueError(f"one of {', '.join(SIMPLE_WORDS)}")
    return text


def _boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise ValueError("yes or no")
    return _BOOLEANS[text]


def _drill(text: str) -> bool | int:
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    return _whole(text, LARGEST_ID, "yes, no or a fire drill's number")


def _milliseconds(text: str) -> int:
    return _whole(text, _LARGEST_MS, "a whole number of milliseconds, such as 1500")


def _whole(text: str, largest: int, words: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(largest)) or int(text) > largest:
        raise ValueError(words)
    return int(text)


def _dollars(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or not 0 <= amount < 10**6:
        raise ValueError("an amount in dollars, such as 0.05")
    return amount


def _moment(text: str) -> datetime:
    # A plus sign that nobody has written as %2B arrives as a space.
    try:
        parsed = parse_datetime(text.replace(" ", "+") if "T" in text else text)
    except ValueError:  # well formed, but there is no such day
        parsed = None
    if parsed is None:
        raise ValueError("a moment such as 2026-11-22T14:30")
    return timezone.make_aware(parsed) if timezone.is_naive(parsed) else parsed


_READERS: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
    ("outcome", "outcome", _outcome),
    ("simple", "simple", _simple),
    ("fallback", "fallback", _boolean),
    ("stream", "stream", _boolean),
    ("drill", "drill", _drill),
    ("cost", "min_cost_usd", _dollars),
    ("latency", "min_latency_ms", _milliseconds),
    ("from", "start", _moment),
    ("to", "end", _moment),
)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)
