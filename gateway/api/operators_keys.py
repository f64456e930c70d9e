"""API keys in the operators' API. A key's text stands in the answer that made it, and nowhere else."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from ninja import NinjaAPI, Schema
from pydantic import ConfigDict, Field

from gateway.api import operators_schemas as schemas
from gateway.api.operators_access import operator_allowed
from gateway.api.operators_errors import NotFound, only_parameters
from gateway.api.operators_schemas import CALLER_FAULTS, OR_MISSING
from gateway.engine.errors import InvalidRequest
from gateway.models import ApiKey, Route, Team
from gateway.services.keys import DEFAULT_OVERLAP, NO_OVERLAP, key_create, key_disable, key_rotate
from gateway.services.permissions import ADD_KEYS, CHANGE_KEYS, SEE_KEYS


class Key(Schema):
    """A key without its text. `routes` null: all; `old_prefix` is taken until `overlap_until`."""

    name: str
    prefix: str
    team: str | None
    role: str
    routes: list[str] | None
    direct_models: bool
    disabled: bool
    expires_at: schemas.Moment | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    max_parallel: int | None
    old_prefix: str
    overlap_until: schemas.Moment | None
    last_used_at: schemas.Moment | None


class MadeKey(Key):
    """`key` is the key itself: shown this once."""

    key: str


class NewKey(Schema):
    model_config = ConfigDict(extra="forbid")

    name: str
    team: str | None = None
    role: Literal["agent", "operator"] = "agent"
    routes: list[str] | None = None
    direct_models: bool = False
    expires_at: schemas.MomentParameter | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_parallel: int | None = None


class KeyOrder(Schema):
    """`rotate` keeps the old key for a day, `rotate_now` doesn't; `disable` refuses both."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["rotate", "rotate_now", "disable", "enable"]


class OrderedKey(Key):
    """`key`: the new key, where the order made one."""

    key: Annotated[str | None, Field(description="Shown this once.")] = None


def add_keys(api: NinjaAPI) -> None:
    """Give the API its operations of keys."""
    api.get("/keys", response={200: list[Key], **CALLER_FAULTS}, summary="Every API key in use")(keys)
    api.post("/keys", response={200: MadeKey, **CALLER_FAULTS}, summary="Make an API key")(key_make)
    api.post("/keys/{name}", response={200: OrderedKey, **OR_MISSING}, summary="Rotate, disable or enable an API key")(
        key_order
    )


def keys(request: HttpRequest) -> list[dict[str, Any]]:
    only_parameters(request)
    operator_allowed(request, SEE_KEYS)
    rows = ApiKey.objects.alive().select_related("team").prefetch_related("routes")
    return [_told(row) for row in rows]


def key_make(request: HttpRequest, wanted: NewKey) -> dict[str, Any]:
    only_parameters(request)
    operator = operator_allowed(request, ADD_KEYS)
    fields = wanted.model_dump(exclude={"name", "team", "routes"})
    team = None if wanted.team is None else _named(Team, "team", wanted.team)
    routes = None if wanted.routes is None else [_named(Route, "routes", name) for name in wanted.routes]
    try:
        row, plain = key_create(name=wanted.name, actor=operator.actor, team=team, routes=routes, **fields)
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), param=_field(error)) from None
    return {**_told(row), "key": plain}


def key_order(request: HttpRequest, name: str, order: KeyOrder) -> dict[str, Any]:
    only_parameters(request)
    operator = operator_allowed(request, CHANGE_KEYS)
    row = ApiKey.objects.alive().filter(name=name if name.isprintable() else "").first()
    if row is None:
        raise NotFound(f"There is no API key {name[:60]!r}. GET /api/keys lists them.", param="name")
    plain = None
    if order.action in ("disable", "enable"):
        key_disable(key=row, actor=operator.actor, disabled=order.action == "disable")
    else:
        overlap = DEFAULT_OVERLAP if order.action == "rotate" else NO_OVERLAP
        plain = key_rotate(key=row, actor=operator.actor, overlap=overlap)
    return {**_told(row), "key": plain}


def _told(row: ApiKey) -> dict[str, Any]:
    names = [field for field in Key.model_fields if field not in ("team", "routes")]
    routes = None if row.all_routes else sorted(route.name for route in row.routes.all() if not route.archived)
    return {name: getattr(row, name) for name in names} | {
        "team": row.team.name if row.team else None,
        "routes": routes,
    }


def _named(model: Any, field: str, name: str) -> Any:
    row = model.objects.alive().filter(name=name if name.isprintable() else "").first()
    if row is None:
        known = ", ".join(model.objects.alive().order_by("name").values_list("name", flat=True)) or "none"
        raise InvalidRequest(f"There is no {model._meta.verbose_name} {name[:60]!r}. There are: {known}.", param=field)
    return row


def _field(error: ValidationError) -> str | None:
    """The first field at fault, None where it is the whole key."""
    fields = [name for name in getattr(error, "error_dict", {}) if name != "__all__"]
    return fields[0] if fields else None
