"""Make the database match a configuration file: one transaction, nothing half-applied, idempotent."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from gateway.crypto import SecretUnreadable
from gateway.models import ApiKey, Price, Team
from gateway.models.organisation import organisation_current
from gateway.models.words import PriceSource
from gateway.services.configuration import (
    ARCHIVED,
    CHANGED,
    CREATED,
    change_record,
    configuration_changed,
    configuration_lock,
)
from gateway.services.configuration_diff import Change, differences
from gateway.services.configuration_entries import ConfigurationFile
from gateway.services.configuration_file import ConfigurationFileError, Known, configuration_parse
from gateway.services.configuration_readers import Problem
from gateway.services.configuration_rows import (
    SECTIONS,
    Section,
    alerts_entry,
    canonical,
    objectives_entry,
    retention_entry,
)
from gateway.services.configuration_uses import configuration_uses
from gateway.services.price_seed import price_is_listed, prices_seed
from gateway.services.simple_configuration import (
    RULES_SECTION,
    simple_rules_entry,
    simple_rules_in_force,
    simple_rules_row,
)


@transaction.atomic
def configuration_apply(text: str, *, actor: str, dry_run: bool = False) -> tuple[Change, ...]:
    """Apply the file's text; returns what changed (with `dry_run`: what would).

    The price book gets the models it lacks first, from the installed price list.

    Raises ConfigurationFileError with every problem of the file; the database is then as it was.
    """
    configuration_lock()  # two files applied at once take turns
    file = configuration_parse(text, _known())
    prices_seed(_models_in_use(file), only_new_models=True)
    changes = [change for section in SECTIONS for change in _apply_section(section, file)]
    changes += _apply_organisation(file)
    changes += _apply_simple_rules(file, actor)
    for change in changes:
        change_record(
            actor=actor,
            action=change.action,
            section=change.section,
            name=change.name,
            before=change.before,
            after=change.after,
        )
    if changes:
        configuration_changed()
    if dry_run:
        transaction.set_rollback(True)
    return tuple(changes)


def _known() -> Known:
    now = timezone.now()
    own = Price.objects.alive().filter(source=PriceSource.OVERRIDE).exclude(valid_from__gt=now)
    return Known(
        now=now,
        teams=frozenset(Team.objects.alive().values_list("name", flat=True)),
        api_keys=frozenset(ApiKey.objects.alive().values_list("name", flat=True)),
        uses=configuration_uses(),
        overridden=frozenset(own.values_list("kind", "model")),
        listed=price_is_listed,
    )


def _models_in_use(file: ConfigurationFile) -> set[tuple[str, str]]:
    kinds = {provider.name: provider.kind for provider in file.providers}
    targets = [target for route in file.routes for target in (*route.targets, route.simple_target) if target]
    return {(kinds[target.provider], target.model) for target in targets}


def _apply_section(section: Section, file: ConfigurationFile) -> list[Change]:
    wanted = getattr(file, section.name)
    if wanted is None:
        return []
    current: dict[Any, tuple[Any, Any]] = {}
    for row in section.rows():
        entry = section.entry(row)
        current[section.key(entry)] = (row, entry)
    opened = [_opened(section, position, entry) for position, entry in enumerate(wanted)]
    kept = {section.key(entry) for entry in opened}
    changes = [_archive(section, row, entry) for key, (row, entry) in current.items() if key not in kept]
    found = [(entry, *current.get(section.key(entry), (None, None))) for entry in opened]
    differing = [(entry, row, before) for entry, row, before in found if before != entry]
    for _, row, _ in differing:
        if row is not None:
            section.release(row)
    return changes + [_write(section, row, before, entry) for entry, row, before in differing]


def _opened(section: Section, position: int, entry: Any) -> Any:
    try:
        return canonical(entry)
    except SecretUnreadable as error:
        raise ConfigurationFileError([Problem(f"{section.name}[{position}]", str(error))]) from None


def _archive(section: Section, row: Any, entry: Any) -> Change:
    row.archive()
    row.save(update_fields=["archived_at"])
    return Change(ARCHIVED, section.name, section.title(entry), before=differences(entry, None)[0])


def _write(section: Section, row: Any, before: Any, entry: Any) -> Change:
    section.write(row if row is not None else _fresh(section, entry), entry)
    action = CHANGED if before is not None else CREATED
    told = differences(before, entry)
    return Change(action, section.name, section.title(entry), *told)


def _fresh(section: Section, entry: Any) -> Any:
    """What was archived under this name comes back as the same row, so that its spend still counts; else a new row."""
    if section.model is Price:
        return Price()
    archived = section.model.objects.filter(archived_at__isnull=False, name=entry.name).order_by("-pk").first()
    if archived is None:
        return section.model()
    archived.archived_at = None
    return archived


def _apply_simple_rules(file: ConfigurationFile, actor: str) -> list[Change]:
    """Other rules are a new version."""
    before, wanted = simple_rules_entry(simple_rules_in_force()), file.simple_rules
    if wanted is None or wanted == before:
        return []
    row = simple_rules_row(wanted, actor=actor)
    row.save()
    return [Change(CHANGED, RULES_SECTION, str(row), *differences(before, wanted))]


def _apply_organisation(file: ConfigurationFile) -> list[Change]:
    row = organisation_current()
    changes = []
    wanted: tuple[tuple[str, Any, Any], ...] = (
        ("objectives", objectives_entry(row), file.objectives),
        ("alerts", alerts_entry(row), file.alerts),
        ("retention", retention_entry(row), file.retention),
    )
    for section, before, after in wanted:
        if after is not None and after != before:
            for name in after.__dataclass_fields__:
                setattr(row, name, getattr(after, name))
            changes.append(Change(CHANGED, section, "", *differences(before, after)))
    if file.time_zone is not None and file.time_zone != row.time_zone:
        changes.append(Change(CHANGED, "time_zone", "", row.time_zone, file.time_zone))
        row.time_zone = file.time_zone
    if changes:
        row.save()
    return changes
