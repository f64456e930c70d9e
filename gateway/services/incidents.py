"""What people do about incidents and their messages. Admin and operators' API call these."""

from __future__ import annotations

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction

from gateway.alerts.channel import channel_send
from gateway.alerts.outbox import Send
from gateway.crypto import SecretUnreadable
from gateway.models import Alert, AlertChannel, AlertDelivery
from gateway.services.configuration import CHANGED, TESTED, change_record

NOTE_LENGTH = 500


def incident_acknowledge(*, alert: Alert, actor: str, note: str, now: datetime) -> bool:
    """Somebody has seen to it. False, and nothing changes, if somebody had already. Raises ValidationError."""
    note = note.strip()
    if len(note) > NOTE_LENGTH:
        raise ValidationError({"note": f"A note has at most {NOTE_LENGTH} characters."})
    unseen = Alert.objects.filter(pk=alert.pk, acknowledged_at__isnull=True)
    with transaction.atomic():
        done = unseen.update(acknowledged_at=now, acknowledged_by=actor[:150], note=note) == 1
        if done:
            after = "\n".join(filter(None, ("acknowledged", note and f"note: {note}")))
            section, name = incident_names(alert)
            change_record(actor=actor, action=CHANGED, section=section, name=name, before="open", after=after)
    alert.refresh_from_db()
    return done


def incident_names(alert: Alert) -> tuple[str, str]:
    """Section and name in the history."""
    return "incidents", str(alert)[:310]


def message_names(delivery: AlertDelivery) -> tuple[str, str]:
    """Section and name in the history."""
    return "alert_messages", f"{delivery.title} to {delivery.channel_name}"


def channel_test(*, channel: AlertChannel, actor: str, send: Send = channel_send) -> str | None:
    """Sends one message now; what went wrong, as a sentence, or None. Takes seconds where the channel is slow.

    History tells that and how it ended: a message of this kind went out in somebody's name.
    """
    problem = _sent_test(channel, actor, send)
    after = "the test arrived" if problem is None else f"the test did not arrive: {problem}"
    change_record(actor=actor, action=TESTED, section="alert_channels", name=channel.name, after=after)
    return problem


def _sent_test(channel: AlertChannel, actor: str, send: Send) -> str | None:
    try:
        address = channel.url()
    except SecretUnreadable:
        return "the address can't be decrypted with today's LLMOPS_ENCRYPTION_KEYS; enter it again"
    body = f"{actor} tests the alert channel {channel.name}. Nothing is wrong."
    return send(address, f"test: {channel.name}", body)


def delivery_retry(*, delivery: AlertDelivery, actor: str, now: datetime) -> bool:
    """Makes a message that has not arrived due at once, with all its tries before it. False if it has arrived."""
    waiting = AlertDelivery.objects.filter(pk=delivery.pk, delivered_at__isnull=True)
    with transaction.atomic():
        due = waiting.update(next_try_at=now, tries=0, given_up_at=None) == 1
        if due:
            section, name = message_names(delivery)
            before = "given up" if delivery.given_up_at is not None else "waiting"
            change_record(actor=actor, action=CHANGED, section=section, name=name, before=before, after="due at once")
    return due
