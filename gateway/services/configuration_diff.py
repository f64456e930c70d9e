"""What changes, in lines that people read. Secrets never appear: they only "change"."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from decimal import Decimal
from typing import Any

from gateway.ledger.money import usd_text


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One thing created, changed or archived. `before` and `after` name only fields that differ."""

    action: str
    section: str
    name: str
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        sign = {"created": "+", "changed": "~", "archived": "-"}[self.action]
        details = f": {self.before} → {self.after}" if self.action == "changed" else ""
        return f"{sign} {self.section} {self.name}{details}"


def differences(before: Any, after: Any) -> tuple[str, str]:
    """The differing fields of two entries of one kind as `name=value` lists; either may be None."""
    names = list(dataclasses.fields(before or after))
    if before is not None and after is not None:
        names = [field for field in names if getattr(before, field.name) != getattr(after, field.name)]
    return _described(before, names, "before"), _described(after, names, "now")


def _described(entry: Any, fields: list[Any], when: str) -> str:
    if entry is None:
        return ""
    return ", ".join(f"{field.name}={_shown(field, getattr(entry, field.name), when)}" for field in fields)


def _shown(field: Any, value: Any, when: str) -> str:
    if field.metadata.get("secret") and value:
        return f"(secret, {when})"
    return plain_text(value)


def plain_text(value: Any) -> str:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
        told = [f"{field.name}={_shown(field, each, '')}" for field, each in inner if each != field.default]
        return "{" + ", ".join(told) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(plain_text(each) for each in value) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, Decimal):
        return usd_text(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)
