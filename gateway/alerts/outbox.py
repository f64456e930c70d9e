"""Messages that wait to be delivered: written in the alert's transaction, sent afterwards, tried again if need be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db.models import F, QuerySet

from gateway.crypto import SecretUnreadable
from gateway.models import Alert, AlertChannel, AlertDelivery
from gateway.models.words import AlertEvent

Send = Callable[[str, str, str], str | None]  # (channel's address, title, body) → what went wrong, or None

DELIVERIES_PER_SWEEP = 10  # a try may take seconds, and the next sweep comes in one
TRIES_MAX = 8
RETRY_SECONDS = 5  # after the first try; doubled with each further one
RETRY_MAX_SECONDS = 600
CLAIM_SECONDS = 60  # longer than a try takes: meanwhile no other process tries the same message


def announce(alert: Alert, event: AlertEvent, body: str, *, now: datetime) -> None:
    """Queues a message for every channel that wants to hear of the event. Call it in the alert's transaction."""
    channels = AlertChannel.objects.filter(archived_at__isnull=True)
    AlertDelivery.objects.bulk_create(
        [
            AlertDelivery(
                alert=alert,
                event=event,
                channel_id=channel.pk,
                channel_name=channel.name,
                title=f"{event}: {alert.subject}",
                body=body,
                next_try_at=now,
            )
            for channel in channels
            if channel.hears(event)
        ],
        ignore_conflicts=True,
    )


def deliveries_send(*, now: datetime, send: Send) -> int:
    """Tries every message that is due, once; returns how many arrived."""
    due = _due().filter(next_try_at__lte=now).order_by("next_try_at", "pk")[:DELIVERIES_PER_SWEEP]
    return sum(_deliver(delivery, now, send) for delivery in list(due) if _claim(delivery, now))


def _due() -> QuerySet[AlertDelivery]:
    return AlertDelivery.objects.filter(delivered_at__isnull=True, given_up_at__isnull=True)


def _claim(delivery: AlertDelivery, now: datetime) -> bool:
    """One process gets it: the row moves on only from the state in which we saw it."""
    until = now + timedelta(seconds=CLAIM_SECONDS)
    seen = _due().filter(pk=delivery.pk, next_try_at=delivery.next_try_at, tries=delivery.tries)
    return bool(seen.update(next_try_at=until, tries=F("tries") + 1) == 1)


def _deliver(delivery: AlertDelivery, now: datetime, send: Send) -> bool:
    problem = _send_to_channel(delivery, send)
    tries = delivery.tries + 1
    outcome = AlertDelivery.objects.filter(pk=delivery.pk)
    if problem is None:
        outcome.update(delivered_at=now, last_error="")
        return True
    if tries >= TRIES_MAX:
        outcome.update(given_up_at=now, last_error=problem)
    else:
        pause = min(RETRY_SECONDS * 2 ** (tries - 1), RETRY_MAX_SECONDS)
        outcome.update(next_try_at=now + timedelta(seconds=pause), last_error=problem)
    return False


def _send_to_channel(delivery: AlertDelivery, send: Send) -> str | None:
    channel = AlertChannel.objects.filter(pk=delivery.channel_id, archived_at__isnull=True).first()
    if channel is None:
        return "the channel has been removed"
    try:
        address = channel.url()
    except SecretUnreadable:
        return "the channel's address can't be decrypted with today's LLMOPS_ENCRYPTION_KEYS"
    return send(address, delivery.title, delivery.body)
