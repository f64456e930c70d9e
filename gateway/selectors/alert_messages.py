"""Messages about incidents, and what came of each, as programs read them. Addresses of channels stand nowhere here."""

from __future__ import annotations

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


def message_list(*, state: MessageState | None, alert_id: int | None, limit: int) -> list[AlertDelivery]:
    """The newest first. One query."""
    rows = AlertDelivery.objects.order_by("-pk")
    if state is not None:
        rows = rows.filter(_WHERE[state])
    if alert_id is not None:
        rows = rows.filter(alert_id=alert_id)
    return list(rows[:limit])


def message_state(row: AlertDelivery) -> MessageState:
    if row.delivered_at is not None:
        return MessageState.ARRIVED
    return MessageState.WAITING if row.given_up_at is None else MessageState.GIVEN_UP
