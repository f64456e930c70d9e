"""Take configuration out of use and back: it is archived, since the ledger keeps referring to it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from gateway.models import ApiKey, Budget, Price, Route, Workload
from gateway.services.configuration import ARCHIVED, RESTORED, change_record, configuration_changed
from gateway.services.configuration_diff import differences
from gateway.services.configuration_rows import Section, section_of
from gateway.services.configuration_uses import configuration_uses


@transaction.atomic
def configuration_archive(*, row: Any, actor: str) -> None:
    """Raises ValidationError, with what needs it, while other configuration uses the row."""
    section = section_of(type(row))
    title = section.title(section.entry(row))
    if not isinstance(row, Price):
        _require_unused(section, row.name)
    row.archive()
    row.save(update_fields=["archived_at"])
    before, _ = differences(section.entry(row), None)
    change_record(actor=actor, action=ARCHIVED, section=section.name, name=title, before=before)
    configuration_changed()


@transaction.atomic
def configuration_restore(*, row: Any, actor: str) -> None:
    """Back into use. Raises ValidationError when its name was taken meanwhile or something it needs is archived."""
    section = section_of(type(row))
    _require_parts(row)
    row.archived_at = None
    row.full_clean()
    row.save(update_fields=["archived_at"])
    entry = section.entry(row)
    change_record(
        actor=actor, action=RESTORED, section=section.name, name=section.title(entry), after=differences(None, entry)[1]
    )
    configuration_changed()


def _require_parts(row: Any) -> None:
    parts: list[Any] = []
    if isinstance(row, Route):
        parts = [target.provider for target in row.targets.select_related("provider")]
    elif isinstance(row, ApiKey):
        parts = [row.team]
    elif isinstance(row, Budget):
        parts = [row.subject]
    elif isinstance(row, Workload):
        parts = [row.api_key, row.team]
    gone = sorted({str(part) for part in parts if part is not None and part.archived})
    if gone:
        raise ValidationError(f"It needs {', '.join(gone)}, which is archived: restore that first.")


def _require_unused(section: Section, name: str) -> None:
    users = [use.by for use in configuration_uses() if use.section == section.name and use.name == name]
    if users:
        raise ValidationError(f"{name} is still needed by {', '.join(users[:5])}.")
