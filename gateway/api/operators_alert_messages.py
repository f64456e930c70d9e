"""What was sent about incidents in the operators' API: list it, send it again."""

from __future__ import annotations

from typing import Annotated

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema

from gateway.api.operators_access import Operator
from gateway.api.operators_errors import NotFound, only_parameters
from gateway.api.operators_schemas import CALLER_FAULTS, LARGEST_ID, OR_MISSING, Moment
from gateway.models import AlertDelivery
from gateway.selectors.alert_messages import AlertMessage, MessageState, message_list, message_of
from gateway.services.incidents import delivery_retry
from gateway.services.permissions import RETRY_MESSAGES

MOST_MESSAGES = 1_000

router = Router()


class Message(Schema):
    """`alert_id` is its incident's id. `next_try_at` is null unless it waits; no channel's address is told."""

    id: int
    alert_id: int
    event: str
    channel: str
    title: str
    body: str
    state: MessageState
    tries: int
    next_try_at: Moment | None
    delivered_at: Moment | None
    given_up_at: Moment | None
    last_error: str


@router.get("/alert-messages", response={200: list[Message], **CALLER_FAULTS}, summary="Alert messages, newest first")
def messages(
    request: HttpRequest,
    state: MessageState | None = None,
    alert: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_MESSAGES)] = 100,
) -> list[AlertMessage]:
    """`alert` is an incident's id."""
    only_parameters(request, "state", "alert", "limit")
    return message_list(state=state, alert_id=alert, limit=limit)


@router.post("/alert-messages/{id}/retry", response={200: Message, **OR_MISSING}, summary="Send a message again")
def retried(request: HttpRequest, id: int) -> AlertMessage:
    """With all its tries before it. What has arrived is answered as it is, and not sent again."""
    only_parameters(request)
    operator: Operator = request.auth  # type: ignore[attr-defined]
    operator.require(RETRY_MESSAGES)
    row = AlertDelivery.objects.filter(pk=id).first() if 0 < id <= LARGEST_ID else None
    if row is None:
        raise NotFound(f"There is no alert message {id}; GET /api/alert-messages lists them.", param="id")
    delivery_retry(delivery=row, actor=operator.actor, now=timezone.now())
    row.refresh_from_db()
    return message_of(row)
