"""Forgetting a conversation or an API key through the operators' API (docs/forgetting.md)."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from ninja import NinjaAPI, Schema
from pydantic import Field

from gateway.api import operators_schemas as schemas
from gateway.api.operators_access import operator_allowed
from gateway.api.operators_errors import NotFound, only_parameters
from gateway.api.operators_schemas import OR_MISSING
from gateway.engine.errors import InvalidRequest
from gateway.models import ApiKey
from gateway.services.forgetting import Forgotten as Outcome
from gateway.services.forgetting import conversation_forget
from gateway.services.forgetting_keys import key_forget
from gateway.services.permissions import FORGET


class Forgotten(Schema):
    name: str = Field(description="What stands for it from now on.")
    requests: int = Field(description="Requests that were forgotten. Their amounts are still counted.")
    under_way: int = Field(description="Requests that had not ended and are as they were: do it again later.")


def add_key_forgetting(api: NinjaAPI) -> None:
    """Give the API its operation on keys."""
    faults = {**OR_MISSING, 503: schemas.ErrorReply}
    api.delete("/keys/{name}", response={200: Forgotten, **faults}, summary="Archive and forget an API key")(key_told)


def conversation_told(conversation: str, team_id: int, team: str, actor: str) -> Forgotten:
    return _told(conversation_forget(conversation=conversation, team_id=team_id, team=team, actor=actor))


def key_told(request: HttpRequest, name: str) -> Forgotten:
    """Its name and every conversation it took part in go; the key is refused from then on. Amounts stay."""
    only_parameters(request)
    operator = operator_allowed(request, FORGET)
    named = ApiKey.objects.filter(name=name if name.isprintable() else "")
    key = named.filter(archived_at=None).first() or named.order_by("-pk").first()
    if key is None:
        raise NotFound(f"There is no API key {name[:60]!r}, in use or archived.", param="name")
    try:
        return _told(key_forget(key=key, actor=operator.actor))
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), param="name") from None


def _told(outcome: Outcome) -> Forgotten:
    return Forgotten(name=outcome.name, requests=outcome.requests, under_way=outcome.under_way)
