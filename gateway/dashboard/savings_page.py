"""What was saved, by what, for whom."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from gateway.dashboard.access import back_office_page, render_page
from gateway.dashboard.row_links import rows_url
from gateway.dashboard.scope import NO_TEAM, Scope, scope_of
from gateway.dashboard.scope_bar import bar_context
from gateway.services.savings import MOST_CALLS, Saved, savings

Row = tuple[str, str, Saved]  # title, address that narrows the page to it, amounts


@back_office_page
def savings_page(request: HttpRequest) -> HttpResponse:
    scope = scope_of(request, now=timezone.now(), zone=timezone.get_current_timezone())
    found = savings(scope.window, where=scope.where)
    context = {
        **bar_context(scope, page="savings"),
        "whole": found.whole,
        "hits_url": rows_url(scope, cache="hit"),
        "complete": found.complete,
        "most": MOST_CALLS,
        "tables": (("Routes", _rows(found.by_route, "route", scope)), ("Teams", _rows(found.by_team, "team", scope))),
    }
    return render_page(request, "dashboard/savings.html", "Savings", context)


def _rows(rows: tuple[tuple[str, Saved], ...], name: str, scope: Scope) -> list[Row]:
    nobody = {"team": "no team", "route": "no route"}[name]
    return [(title or nobody, _narrowed(title, name, scope), saved) for title, saved in rows]


def _narrowed(title: str, name: str, scope: Scope) -> str:
    if not title and name != "team":
        return ""
    return "?" + scope.query_with(**{name: title or NO_TEAM})
