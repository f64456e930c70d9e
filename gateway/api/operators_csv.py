"""The operators' API's downloads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from django.http import HttpRequest, StreamingHttpResponse
from ninja import Query

from gateway.api import operators_schemas as schemas
from gateway.api.operators_errors import only_parameters
from gateway.engine.errors import InvalidRequest
from gateway.selectors.completions_csv import completions_csv
from gateway.selectors.usage_cells import UsageFilter


def completions_download(
    request: HttpRequest,
    start: Annotated[schemas.MomentParameter, Query(alias="from")],
    end: Annotated[schemas.MomentParameter | None, Query(alias="to")] = None,
    team: str | None = None,
    api_key: str | None = None,
    route: str | None = None,
    provider: str | None = None,
    model: str | None = None,
) -> StreamingHttpResponse:
    """`from` is included, `to` (now, unless given) is not. Names filter; an empty team means keys without one."""
    only_parameters(request, "from", "to", "team", "api_key", "route", "provider", "model")
    end = end or datetime.now(UTC)
    if end < start:
        raise InvalidRequest("from must not be later than to.", param="from")
    where = UsageFilter(team=team, api_key=api_key, route=route, provider=provider, model=model)
    lines = completions_csv(start=start, end=end, where=where)
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="completions-{start:%Y%m%d}-{end:%Y%m%d}.csv"'
    return response
