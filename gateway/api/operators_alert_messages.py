"""What was sent about incidents in the operators' API: list it, send it again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema

from gateway.api.operators_access import operator_allowed
from gateway.api.operators_errors import NotFound, only_parameters
from gateway.api.operators_schemas import CALLER_FAULTS, OR_MISSING, Moment
from gateway.models import AlertDelivery
from gateway.selectors.alert_messages import MessageState, message_list, message_state
from gateway.selectors.ids import LARGEST_ID, row_of_id
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

    @staticmethod
    def resolve_channel(row: AlertDelivery) -> str:
        return row.channel_name

    @staticmethod
    def resolve_state(row: AlertDelivery) -> MessageState:
        return message_state(row)

    @staticmethod
    def resolve_next_try_at(row: AlertDelivery) -> datetime | None:
        return row.next_try_at if message_state(row) is MessageState.WAITING else None


@router.get("/alert-messages", response={200: list[Message], **CALLER_FAULTS}, summary="Alert messages, newest first")
def messages(
    request: HttpRequest,
    state: MessageState | None = None,
    alert: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_MESSAGES)] = 100,
) -> list[AlertDelivery]:
    """`alert` is an incident's id."""
    only_parameters(request, "state", "alert", "limit")
    return message_list(state=state, alert_id=alert, limit=limit)


@router.post("/alert-messages/{id}/retry", response={200: Message, **OR_MISSING}, summary="Send a message again")
def retried(request: HttpRequest, id: int) -> AlertDelivery:
    """With all its tries before it. What has arrived is answered as it is, and not sent again."""
    only_parameters(request)
    operator = operator_allowed(request, RETRY_MESSAGES)
    row = row_of_id(AlertDelivery.objects.all(), id)
    if row is None:
        raise NotFound(f"There is no alert message {id}; GET /api/alert-messages lists them.", param="id")
    delivery_retry(delivery=row, actor=operator.actor, now=timezone.now())
    row.refresh_from_db()
    return row
