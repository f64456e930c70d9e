"""What has to be written so that the cells of an hour or a day are those wanted: the rows that differ, nothing else.

On SQLite everybody else waits for a writing transaction, so few rows are written at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.models.rollup import LatencyCell, UsageCell

Cell = UsageCell | LatencyCell
ROWS_PER_WRITE = 100


@dataclass(frozen=True, slots=True)
class CellChange:
    """Rows of one model: the ids of those to remove, and those to add."""

    model: type[Cell]
    removed: Sequence[int]
    added: Sequence[Cell]

    def write(self) -> None:
        rows: Any = self.model._default_manager
        if self.removed:
            rows.filter(pk__in=self.removed).delete()
        rows.bulk_create(self.added, batch_size=ROWS_PER_WRITE)

    def pieces(self) -> Iterator[CellChange]:
        """The same in several, each short to write."""
        for first in range(0, max(len(self.removed), len(self.added)), ROWS_PER_WRITE):
            piece = slice(first, first + ROWS_PER_WRITE)
            yield CellChange(self.model, self.removed[piece], self.added[piece])


def cell_changes(
    hours: int, starts_at: datetime, usages: Sequence[UsageCell], latencies: Sequence[LatencyCell]
) -> list[CellChange]:
    """From the cells that are stored to these. Two queries."""
    return [
        _change(UsageCell, hours, starts_at, usages),
        _change(LatencyCell, hours, starts_at, latencies),
    ]


def _change(model: type[Cell], hours: int, starts_at: datetime, wanted: Sequence[Cell]) -> CellChange:
    names = [field.attname for field in model._meta.concrete_fields if not field.primary_key]
    stored: defaultdict[tuple[Any, ...], list[int]] = defaultdict(list)
    rows: Any = model._default_manager
    for pk, *values in rows.filter(hours=hours, starts_at=starts_at).values_list("pk", *names):
        stored[tuple(values)].append(pk)
    added = []
    for cell in wanted:
        same = stored.get(tuple(getattr(cell, name) for name in names))
        if same:
            same.pop()
        else:
            added.append(cell)
    return CellChange(model, [pk for left in stored.values() for pk in left], added)
