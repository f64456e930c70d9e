"""Where alerts go: an address with its secrets, kept encrypted, and the events it wants to hear of."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from gateway.crypto import decrypt, encrypt
from gateway.models.base import LABEL, ConfigurationRow, unique_among_alive
from gateway.models.words import AlertEvent

ALL_EVENTS = "all"  # every event, also those that a later release adds


class AlertChannel(ConfigurationRow):
    name = models.CharField(max_length=100, validators=[LABEL])
    url_encrypted = models.TextField(editable=False)
    events = models.JSONField(default=list, help_text="What it is told about.")

    class Meta:
        db_table = "llmops_alert_channel"
        ordering = ["name"]
        constraints = [unique_among_alive("alert_channel_name_in_use", "name", label="alert channel")]

    def __str__(self) -> str:
        return self.name

    def set_url(self, plain: str) -> None:
        self.url_encrypted = encrypt(plain)

    def url(self) -> str:
        """The address with its secrets. Raises SecretUnreadable."""
        return decrypt(self.url_encrypted)

    def hears(self, event: AlertEvent) -> bool:
        return ALL_EVENTS in self.events or event in self.events

    def clean(self) -> None:
        problem = events_problem(self.events)
        if problem:
            raise ValidationError({"events": problem})


def events_problem(events: Any) -> str | None:
    """What is wrong with a list of events, as a sentence, or None."""
    known = (ALL_EVENTS, *AlertEvent)
    if not isinstance(events, list) or not events:
        return f"must be a list of events; known: {', '.join(known)}"
    for event in events:
        if event not in known:
            return f"no event is called {str(event)[:40]!r}; known: {', '.join(known)}"
    if ALL_EVENTS in events and len(events) > 1:
        return f"{ALL_EVENTS!r} stands alone: it holds all the others"
    return "an event is listed twice" if len(set(events)) != len(events) else None
