"""The bar above overview and spend: the periods, the filters, and the way from one page to the other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone

from gateway.dashboard.scope import NO_TEAM, PERIOD_WORDS, Period, Scope
from gateway.selectors.filter_names import filter_names

_PAGES = (("overview", "Overview"), ("spend", "Spend"))
_TITLES = {
    "team": ("Team", "every team"),
    "api_key": ("API key", "every key"),
    "route": ("Route", "every route"),
    "provider": ("Provider", "every provider"),
    "model": ("Model", "every model"),
}


@dataclass(frozen=True, slots=True)
class Choice:
    title: str
    href: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Select:
    """One filter: `options` are (value in addresses, what people read); `any_words` stands for none chosen."""

    name: str
    title: str
    any_words: str
    options: tuple[tuple[str, str], ...]
    chosen: str


_MOMENT = timedelta(microseconds=1)  # a window that ends at midnight has the day before as its last one


def bar_context(scope: Scope, *, page: str) -> dict[str, Any]:
    """For `partials/scope.html`. Five queries."""
    first, last = scope.days or (scope.window.start, scope.window.end - _MOMENT)
    return {
        "scope": scope,
        "pages": [
            Choice(title, f"{reverse(f'dashboard:{name}')}?{scope.query}", name == page) for name, title in _PAGES
        ],
        "periods": [
            Choice(
                words[0],
                "?" + scope.query_with(**{"period": period.value, "from": None, "to": None}),
                period is scope.period,
            )
            for period, words in PERIOD_WORDS.items()
        ],
        "custom": scope.period is Period.CUSTOM,
        "first_day": _day(first),
        "last_day": _day(last),
        "selects": _selects(scope),
        "cleared_query": scope.query_with(**dict.fromkeys(_TITLES)),
    }


def _day(moment: Any) -> str:
    """A date, or the local day of a moment, as a date field takes it."""
    return (timezone.localtime(moment).date() if hasattr(moment, "hour") else moment).isoformat()


def _selects(scope: Scope) -> list[Select]:
    """A name that is filtered by stays an option, though nothing of that name may be in use any more."""
    names, chosen = filter_names(), scope.filters
    selects = []
    for name, (title, any_words) in _TITLES.items():
        values = names[name]
        picked = chosen.get(name, "")
        if picked and picked not in values and picked != NO_TEAM:
            values = (*values, picked)
        options = [(value, value) for value in values]
        if name == "team":
            options.append((NO_TEAM, "keys without a team"))
        selects.append(Select(name, title, any_words, tuple(options), picked))
    return selects
