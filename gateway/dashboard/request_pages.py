"""The log of requests: searched by its address, live on its first page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from gateway.dashboard.access import back_office_page, render_page
from gateway.dashboard.conversation_links import conversation_url
from gateway.dashboard.request_query import (
    LABELS,
    NO_TEAM,
    SIMPLE_WORDS,
    WINDOWS,
    RequestQuery,
    request_query,
    requests_url,
)
from gateway.selectors.completions import CompletionLine
from gateway.selectors.keyset import Cursor
from gateway.selectors.request_filter import Outcome
from gateway.selectors.request_log import COUNTED, ROWS_SIFTED, request_choices, request_page

REQUESTS_PER_PAGE = 50
OUTCOME_WORDS = {
    Outcome.ANSWERED: "answered",
    Outcome.FAILED: "failed: a provider, or us",
    Outcome.REFUSED: "refused: a limit, or a mistake of the client",
    Outcome.CANCELLED: "client left",
    Outcome.UNKNOWN: "unknown: we stopped before its end",
    Outcome.PENDING: "under way",
    Outcome.BEGUN: "all that began: not turned away",
    Outcome.SETTLED: "all that began and have ended",
}
_MORE = frozenset(LABELS) - {"id", "team", "key", "route", "provider", "conversation", "outcome", "fallback"}
# Its parameters' names at /api/completions.csv, which knows no ids, no decisions and no drill by its number.
_CSV = {
    "team": "team",
    "key": "api_key",
    "route": "route",
    "provider": "provider",
    "model": "model",
    "tried": "tried_provider",
    "tried_model": "tried_model",
    "asked": "requested_model",
    "conversation": "conversation",
    "error": "error_code",
    "cache": "cache",
    "outcome": "outcome",
    "fallback": "fallback",
    "stream": "stream",
    "drill": "drill",
    "cost": "min_cost_usd",
    "latency": "min_latency_ms",
}


@back_office_page
def requests(request: HttpRequest) -> HttpResponse:
    query = request_query(request.GET, now=timezone.now())
    context = {
        **_rows_context(request, query),
        "choices": request_choices(),
        "windows": [(name, words) for name, (words, _) in WINDOWS.items()],
        "outcomes": [(outcome.value, words) for outcome, words in OUTCOME_WORDS.items()],
        "simples": list(SIMPLE_WORDS.items()),
        "caches": ("hit", "miss", "bypass"),
        "no_team": NO_TEAM,
        "unfolded": any(name in query.given for name in _MORE),
        "zone": timezone.get_current_timezone_name(),
        "live_url": f"{reverse('dashboard:requests-live')}?{urlencode(query.parameters)}",
    }
    return render_page(request, "dashboard/requests.html", "Requests", context)


@back_office_page
def requests_live(request: HttpRequest) -> HttpResponse:
    """The first page's rows as they are now."""
    query = request_query(request.GET, now=timezone.now())
    return render(request, "dashboard/partials/requests.html", _rows_context(request, query))


def _rows_context(request: HttpRequest, query: RequestQuery) -> dict[str, Any]:
    after = _cursor(request)
    page = request_page(wanted=query.wanted, after=after, limit=REQUESTS_PER_PAGE)
    following = requests_url(**query.parameters, after=str(page.next)) if page.next else ""
    return {
        "query": query,
        "rows": [(line, _conversation_url(line)) for line in page.lines],
        "total": _total(page.count),
        "looked_back_to": page.looked_back_to,
        "looked_through": ROWS_SIFTED,
        "first_page": after is None,
        "first_url": query.address,
        "next_url": following,
        "live": after is None and query.wanted.end is None and not query.wanted.id,
        "csv_url": csv_url(query, now=timezone.now()),
    }


def _total(count: int) -> str:
    return f"{COUNTED:,}+ requests" if count > COUNTED else f"{count:,} request{'' if count == 1 else 's'}"


def csv_url(query: RequestQuery, *, now: datetime) -> str:
    """The same rows as a download, "" where a filter is in force that it doesn't know."""
    if query.wanted.id or query.wanted.simple or not isinstance(query.wanted.drill, bool | None):
        return ""
    start = query.wanted.start or datetime(2000, 1, 1, tzinfo=now.tzinfo)
    moments = {"from": start, "to": query.wanted.end or now}
    texts = {name: moment.isoformat().replace("+00:00", "Z") for name, moment in moments.items()}
    names = {_CSV[name]: value for name, value in query.given.items() if name in _CSV}
    if query.wanted.team == "":
        names["team"] = ""
    return f"/api/completions.csv?{urlencode({**texts, **names})}"


def _conversation_url(line: CompletionLine) -> str:
    return conversation_url(line.conversation, line.team_id) if line.conversation else ""


def _cursor(request: HttpRequest) -> Cursor | None:
    """An address that somebody has cut short begins at the beginning."""
    try:
        return Cursor.of(request.GET.get("after", ""))
    except ValueError:
        return None
