"""Addresses of the log of requests that hold the very rows a figure was counted from."""

from __future__ import annotations

from typing import Any

from gateway.dashboard.request_query import NO_TEAM, requests_url
from gateway.dashboard.scope import Scope
from gateway.selectors.request_filter import Outcome
from gateway.selectors.windows import TimeWindow


def rows_url(
    scope: Scope, window: TimeWindow | None = None, *, outcome: Outcome = Outcome.BEGUN, **filters: object
) -> str:
    """The scope's requests, those of `window` instead where it is given; `filters` are the log's own."""
    where = scope.where
    return requests_url(**_owner(scope, window), provider=where.provider, model=where.model, outcome=outcome, **filters)


def paid_rows_url(scope: Scope, window: TimeWindow | None = None, **filters: object) -> str:
    """As `rows_url`, the requests whose amounts and tokens the scope holds: those count where an attempt was made."""
    tried = {"tried": scope.where.provider, "tried_model": scope.where.model}
    return requests_url(**{**_owner(scope, window), **tried, "outcome": Outcome.SETTLED, **filters})


def named_rows_url(scope: Scope, name: str, value: str) -> str:
    """The requests behind what the scope holds under one name of a dimension; "" where no filter says which.

    What no provider and no model accounts for are the reservations of orphans.
    """
    if name in ("provider", "model") and not value:
        return paid_rows_url(scope, outcome=Outcome.UNKNOWN)
    parameter = {"api_key": "key", "provider": "tried", "model": "tried_model"}.get(name, name)
    text = value or (NO_TEAM if name == "team" else "")
    named: dict[str, Any] = {parameter: text}
    return paid_rows_url(scope, **named) if text else ""


def decided_url(scope: Scope, route: str, choice: str) -> str:
    """The scope's requests of a route about whose cheap model that was decided, those turned away too."""
    where = {"provider": scope.where.provider, "model": scope.where.model}
    return requests_url(**{**_owner(scope, None), **where, "route": route, "simple": choice})


def _owner(scope: Scope, window: TimeWindow | None) -> dict[str, object]:
    span, where = window or scope.window, scope.where
    return {
        "from_": span.start,
        "to": span.end,
        "team": NO_TEAM if where.team == "" else where.team,
        "key": where.api_key,
        "route": where.route,
    }
