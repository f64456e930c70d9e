"""The operators' API's downloads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from django.db.models import Q
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Field, Query, Schema

from gateway.api import operators_schemas as schemas
from gateway.api.operators_errors import only_parameters
from gateway.engine.errors import InvalidRequest
from gateway.selectors.completions_csv import attempts_csv, completions_csv
from gateway.selectors.request_filter import Outcome, RequestFilter
from gateway.selectors.usage_cells import UsageFilter


class Narrowed(Schema):
    """What the back office's log of requests can be narrowed to besides names."""

    conversation: str | None = None
    tried_provider: str | None = None
    tried_model: str | None = None
    requested_model: str | None = None
    outcome: Outcome | None = None
    error_code: str | None = None
    cache: str | None = None
    fallback: bool | None = None
    stream: bool | None = None
    drill: bool | None = None
    min_cost_usd: Annotated[Decimal, Field(ge=0, lt=10**6)] | None = None
    min_latency_ms: Annotated[int, Field(ge=0, lt=2**31)] | None = None

    def condition(self) -> Q:
        wanted = RequestFilter(**{name: value for name, value in self if value is not None})
        return wanted.reached() & wanted.sifted()


EVERY_REQUEST = Narrowed()


Since = Annotated[schemas.MomentParameter, Query(alias="from")]
Until = Annotated[schemas.MomentParameter | None, Query(alias="to")]


def completions_download(
    request: HttpRequest,
    start: Since,
    end: Until = None,
    team: str | None = None,
    api_key: str | None = None,
    route: str | None = None,
    provider: str | None = None,
    model: str | None = None,
    narrowed: Annotated[Narrowed, Query()] = EVERY_REQUEST,
) -> StreamingHttpResponse:
    """`from` is included, `to` (now, unless given) is not. Names filter; an empty team means keys without one."""
    only_parameters(request, "from", "to", "team", "api_key", "route", "provider", "model", *Narrowed.model_fields)
    where = UsageFilter(team=team, api_key=api_key, route=route, provider=provider, model=model)
    return _download("completions", completions_csv, start, end, where.of_completions() & narrowed.condition())


def attempts_download(
    request: HttpRequest,
    start: Since,
    end: Until = None,
    team: str | None = None,
    api_key: str | None = None,
    route: str | None = None,
) -> StreamingHttpResponse:
    """Attempts of the completions that began from `from` (included) to `to` (now, unless given; not included)."""
    only_parameters(request, "from", "to", "team", "api_key", "route")
    where = UsageFilter(team=team, api_key=api_key, route=route)
    return _download("attempts", attempts_csv, start, end, where.of_completions())


def _download(
    name: str, lines: Callable[..., Iterator[str]], start: datetime, until: datetime | None, where: Q
) -> StreamingHttpResponse:
    end = until or datetime.now(UTC)
    if end < start:
        raise InvalidRequest("from must not be later than to.", param="from")
    text = lines(start=start, end=end, where=where)
    response = StreamingHttpResponse(text, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}-{start:%Y%m%d}-{end:%Y%m%d}.csv"'
    return response
