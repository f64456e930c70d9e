"""Addresses of the log of requests that hold the very rows a figure was counted from."""

from __future__ import annotations

from gateway.dashboard.request_query import NO_TEAM, requests_url
from gateway.dashboard.scope import Scope
from gateway.selectors.request_filter import Outcome
from gateway.selectors.windows import TimeWindow


def rows_url(
    scope: Scope, window: TimeWindow | None = None, *, outcome: Outcome = Outcome.BEGUN, **filters: object
) -> str:
    """The scope's requests, those of `window` instead where it is given; `filters` are the log's own."""
    span, where = window or scope.window, scope.where
    return requests_url(
        from_=span.start,
        to=span.end,
        team=NO_TEAM if where.team == "" else where.team,
        key=where.api_key,
        route=where.route,
        provider=where.provider,
        model=where.model,
        outcome=outcome,
        **filters,
    )
