"""The history of changes as programs read it: who did what to which thing, with what it was before and after."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.models import ConfigurationChange


@dataclass(frozen=True, slots=True)
class Change:
    """`before` and `after` are lines of text without secrets; "" where there is nothing to compare with."""

    id: int
    at: datetime
    actor: str
    action: str
    section: str
    name: str
    before: str
    after: str


def change_list(
    *, section: str | None, name: str | None, actor: str | None, before_id: int | None, limit: int
) -> list[Change]:
    """The newest first; `before_id` leaves out that change and those after it. One query."""
    wanted = {"section": section, "name": name, "actor": actor, "pk__lt": before_id}
    rows = ConfigurationChange.objects.filter(**{field: value for field, value in wanted.items() if value is not None})
    return [_change(row) for row in rows.order_by("-pk")[:limit]]


def _change(row: ConfigurationChange) -> Change:
    return Change(row.pk, row.at, row.actor, row.action, row.section, row.name, row.before, row.after)
