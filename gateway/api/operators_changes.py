"""The history of changes in the operators' API."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from gateway.api.operators_access import operator_allowed
from gateway.api.operators_errors import only_parameters
from gateway.api.operators_schemas import CALLER_FAULTS, Moment
from gateway.engine.errors import InvalidRequest
from gateway.selectors.changes import change_list
from gateway.selectors.ids import LARGEST_ID
from gateway.services.permissions import SEE_HISTORY

MOST_CHANGES = 500
_LONGEST = 310

router = Router()


class Change(Schema):
    """`before` and `after` are lines of text and never hold a secret."""

    id: int
    at: Moment
    actor: str
    action: str
    section: str
    name: str
    before: str
    after: str


class Changes(Schema):
    changes: list[Change]
    next: int | None = Field(description="Give it as `after` for the following page; null on the last one.")


@router.get("/changes", response={200: Changes, **CALLER_FAULTS}, summary="Who changed what, the newest first")
def changes(
    request: HttpRequest,
    section: Annotated[str | None, Query(max_length=_LONGEST)] = None,
    name: Annotated[str | None, Query(max_length=_LONGEST)] = None,
    actor: Annotated[str | None, Query(max_length=_LONGEST)] = None,
    after: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_CHANGES)] = 100,
) -> dict[str, Any]:
    """`section` is a part of the configuration such as `budgets`; `name`, what is called so there."""
    only_parameters(request, "section", "name", "actor", "after", "limit")
    operator_allowed(request, SEE_HISTORY)
    for parameter, text in (("section", section), ("name", name), ("actor", actor)):
        if text is not None and not text.isprintable():
            raise InvalidRequest(f"{parameter} must be printable text.", param=parameter)
    found = change_list(section=section, name=name, actor=actor, before_id=after, limit=limit + 1)
    return {"changes": found[:limit], "next": found[limit - 1].id if len(found) > limit else None}
