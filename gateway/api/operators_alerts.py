"""Incidents and alert channels in the operators' API."""

from __future__ import annotations

from typing import Annotated, Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import ConfigDict, Field

from gateway.api.operators_access import operator_allowed
from gateway.api.operators_errors import NotFound, only_parameters
from gateway.api.operators_schemas import CALLER_FAULTS, OR_MISSING, Moment
from gateway.engine.errors import InvalidRequest
from gateway.models import Alert as AlertRow
from gateway.models import AlertChannel
from gateway.models.words import AlertEvent
from gateway.selectors.ids import row_of_id
from gateway.selectors.incidents import Incident, incident_list, incident_of
from gateway.services.incidents import channel_test, incident_acknowledge
from gateway.services.permissions import ACKNOWLEDGE_INCIDENTS, TEST_CHANNELS

MOST_ALERTS = 1_000

router = Router()


class Alert(Schema):
    """An incident; `closed_at` null: still open. `about`: `budget 3`, `provider openai`, `drill 7` or empty."""

    id: int
    kind: str
    subject: str
    message: str
    opened_at: Moment
    closed_at: Moment | None
    acknowledged_at: Moment | None
    acknowledged_by: str
    note: str
    about: str


class Acknowledgement(Schema):
    model_config = ConfigDict(extra="forbid")

    note: str = ""


class ChannelTest(Schema):
    channel: str
    arrived: bool = Field(description="Whether the channel took the message.")
    words: str


@router.get("/alerts", response={200: list[Alert], **CALLER_FAULTS}, summary="Incidents, the newest first")
def alerts(
    request: HttpRequest,
    open_only: Annotated[bool, Query(alias="open")] = False,
    kind: AlertEvent | None = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ALERTS)] = 100,
) -> list[Incident]:
    """`open=true` leaves out what is over."""
    only_parameters(request, "open", "kind", "limit")
    return incident_list(open_only=open_only, kind=kind, limit=limit)


@router.post("/alerts/{id}/acknowledge", response={200: Alert, **OR_MISSING}, summary="Say that somebody sees to it")
def acknowledge(request: HttpRequest, id: int, order: Acknowledgement) -> Incident:
    """The first one stays: what is acknowledged already is answered as it is."""
    only_parameters(request)
    operator = operator_allowed(request, ACKNOWLEDGE_INCIDENTS)
    row = row_of_id(AlertRow.objects.all(), id)
    if row is None:
        raise NotFound(f"There is no alert {id}; GET /api/alerts lists them.", param="id")
    try:
        incident_acknowledge(alert=row, actor=operator.actor, note=order.note, now=timezone.now())
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), param="note") from None
    return incident_of(row)


@router.post(
    "/alert-channels/{name}/test", response={200: ChannelTest, **OR_MISSING}, summary="Send a test message now"
)
def channel_tested(request: HttpRequest, name: str) -> dict[str, Any]:
    """Answers 200 whatever came of it."""
    only_parameters(request)
    operator = operator_allowed(request, TEST_CHANNELS)
    row = AlertChannel.objects.alive().filter(name=name).first() if name.isprintable() else None
    if row is None:
        known = ", ".join(AlertChannel.objects.alive().order_by("name").values_list("name", flat=True)[:50])
        raise NotFound(f"There is no alert channel {name[:100]!r}. There are: {known or 'none yet'}.", param="name")
    problem = channel_test(channel=row, actor=operator.actor)
    words = "The channel took the message." if problem is None else f"It did not arrive: {problem}."
    return {"channel": row.name, "arrived": problem is None, "words": words}
