"""Messages about incidents, and what came of each, as programs read them. Addresses of channels stand nowhere here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db.models import Q

from gateway.models import AlertDelivery


class MessageState(StrEnum):
    ARRIVED = "arrived"
    WAITING = "waiting"
    GIVEN_UP = "given_up"


_WHERE = {
    MessageState.ARRIVED: Q(delivered_at__isnull=False),
    MessageState.WAITING: Q(delivered_at__isnull=True, given_up_at__isnull=True),
    MessageState.GIVEN_UP: Q(delivered_at__isnull=True, given_up_at__isnull=False),
}


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """`next_try_at` is None unless it waits. `last_error` is what went wrong at the last try, or ""."""

    id: int
    alert_id: int
    event: str
    channel: str
    title: str
    body: str
    state: MessageState
    tries: int
    next_try_at: datetime | None
    delivered_at: datetime | None
    given_up_at: datetime | None
    last_error: str


def message_list(*, state: MessageState | None, alert_id: int | None, limit: int) -> list[AlertMessage]:
    """The newest first. One query."""
    rows = AlertDelivery.objects.order_by("-pk")
    if state is not None:
        rows = rows.filter(_WHERE[state])
    if alert_id is not None:
        rows = rows.filter(alert_id=alert_id)
    return [message_of(row) for row in rows[:limit]]


def message_of(row: AlertDelivery) -> AlertMessage:
    state = _state(row)
    return AlertMessage(
        id=row.pk,
        alert_id=row.alert_id,
        event=row.event,
        channel=row.channel_name,
        title=row.title,
        body=row.body,
        state=state,
        tries=row.tries,
        next_try_at=row.next_try_at if state == MessageState.WAITING else None,
        delivered_at=row.delivered_at,
        given_up_at=row.given_up_at,
        last_error=row.last_error,
    )


def _state(row: AlertDelivery) -> MessageState:
    if row.delivered_at is not None:
        return MessageState.ARRIVED
    return MessageState.WAITING if row.given_up_at is None else MessageState.GIVEN_UP
