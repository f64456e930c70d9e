"""The response cache in the operators' API."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import ConfigDict, Field

from gateway.api import operators_schemas as schemas
from gateway.api.operators_access import operator_allowed
from gateway.api.operators_errors import NotFound, only_parameters
from gateway.models import Route
from gateway.services.cache_purge import cache_purge
from gateway.services.permissions import PURGE_CACHE

_FAULTS = {**schemas.OR_MISSING, 503: schemas.ErrorReply}

router = Router()


class PurgeOrder(Schema):
    """Both null: everything. Both given: that route's answers by that model."""

    model_config = ConfigDict(extra="forbid")

    route: str | None = None
    model: str | None = Field(None, max_length=300, description="As the provider calls it, or `provider/model`.")


class Purged(Schema):
    purged: int = Field(description="Answers that could still have been given.")


@router.post("/cache/purge", response={200: Purged, **_FAULTS}, summary="Forget cached answers")
def cache_purge_order(request: HttpRequest, order: PurgeOrder) -> dict[str, int]:
    """In force everywhere at once: answers that are being made meanwhile are not kept either."""
    only_parameters(request)
    operator = operator_allowed(request, PURGE_CACHE)
    return {"purged": cache_purge(actor=operator.actor, route=_route(order.route), model=order.model)}


def _route(name: str | None) -> Route | None:
    if name is None:
        return None
    route: Route | None = None if "\0" in name else Route.objects.alive().filter(name=name).first()
    if route is None:
        known = ", ".join(Route.objects.alive().order_by("name").values_list("name", flat=True)[:50]) or "none yet"
        raise NotFound(f"There is no route {name[:100]!r}. There are: {known}.", param="route")
    return route
