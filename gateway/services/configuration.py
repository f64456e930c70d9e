"""Announce and record changes of the configuration. Every editor of it goes through here."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from gateway.models import ConfigurationChange, ConfigurationVersion
from gateway.models.configuration import ONLY_ROW

CREATED, CHANGED, ARCHIVED, RESTORED, DELETED = "created", "changed", "archived", "restored", "deleted"
TESTED = "tested"


def configuration_changed() -> None:
    """Move the version in the caller's transaction, so that every process loads the change once it is committed."""
    while not ConfigurationVersion.objects.filter(pk=ONLY_ROW).update(number=F("number") + 1):
        try:
            with transaction.atomic():
                ConfigurationVersion.objects.create(pk=ONLY_ROW)
        except IntegrityError:
            pass  # another process made the row first; both still move it


def configuration_lock() -> None:
    """Hold the version until the caller's transaction ends, so that whoever else compares and writes has to wait."""
    ConfigurationVersion.objects.get_or_create(pk=ONLY_ROW)
    ConfigurationVersion.objects.select_for_update().get(pk=ONLY_ROW)


def configuration_version() -> int:
    """The version as committed; 0 before the first change."""
    return ConfigurationVersion.objects.filter(pk=ONLY_ROW).values_list("number", flat=True).first() or 0


def change_record(*, actor: str, action: str, section: str, name: str, before: str = "", after: str = "") -> None:
    """Write one row of history. `before` and `after` must not hold secrets."""
    ConfigurationChange.objects.create(
        at=timezone.now(),
        actor=actor[:150],
        action=action,
        section=section,
        name=name[:310],
        before=before,
        after=after,
    )
