"""The configuration in the database as a file: `apply` reads it back as exactly the same configuration."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from decimal import Decimal
from typing import Any

from gateway.ledger.money import usd_text
from gateway.models import AlertChannel, Provider
from gateway.models.organisation import organisation_current
from gateway.services.configuration_rows import SECTIONS, Section, alerts_entry, objectives_entry, retention_entry
from gateway.services.configuration_yaml import yaml_write
from gateway.services.simple_configuration import simple_rules_entry, simple_rules_in_force

_ORDER = ("providers", "routes", "teams", "api_keys", "prices", "budgets", "workloads", "alert_channels")
_BEGINNING = """\
# Written by: python manage.py export. Read back by: python manage.py apply FILE (docs/configuration.md).
# Keys are hashes and secrets are encrypted: they work where LLMOPS_ENCRYPTION_KEYS is the same.
"""


def configuration_export() -> str:
    """YAML text; fields that have their default are left out, secrets only appear encrypted or hashed."""
    sections = {section.name: section for section in SECTIONS}
    organisation = organisation_current()
    data: dict[str, Any] = {name: [_entry(sections[name], row) for row in sections[name].rows()] for name in _ORDER}
    entries: dict[str, Any] = {
        "objectives": objectives_entry(organisation),
        "alerts": alerts_entry(organisation),
        "retention": retention_entry(organisation),
        "simple_rules": simple_rules_entry(simple_rules_in_force()),
    }
    for section, entry in entries.items():
        data[section] = {field.name: plain(getattr(entry, field.name)) for field in dataclasses.fields(entry)}
    data["time_zone"] = organisation.time_zone
    return _BEGINNING + yaml_write(data)


def _entry(section: Section, row: Any) -> dict[str, Any]:
    entry = section.entry(row)
    if isinstance(row, Provider):
        entry = dataclasses.replace(entry, api_key=None, api_key_encrypted=row.api_key_encrypted or None)
    elif isinstance(row, AlertChannel):
        entry = dataclasses.replace(entry, url=None, url_encrypted=row.url_encrypted)
    data = _mapping(entry)
    if data.get("extra_headers"):
        data["extra_headers"] = dict(entry.extra_headers)
    return data


def _mapping(entry: Any) -> dict[str, Any]:
    fields = ((field, getattr(entry, field.name)) for field in dataclasses.fields(entry))
    return {field.name: plain(value) for field, value in fields if value != field.default}


def plain(value: Any) -> Any:
    """A value as YAML knows it: amounts and times as text, whole numbers without a fraction."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _mapping(value)
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    if isinstance(value, Decimal):
        return usd_text(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
