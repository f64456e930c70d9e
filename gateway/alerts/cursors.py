"""How far rows have been read, and whose turn it is: what sweeps remember between two runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.alerts.breakers import LATE_COMMIT_SECONDS
from gateway.models import AlertCursor


def turn_take(source: str, *, every_seconds: int, now: datetime) -> bool:
    """Whether it is time again, for one of all processes; the others, and whoever comes too early, get False."""
    second = int(now.timestamp())
    AlertCursor.objects.get_or_create(source=source)
    due = AlertCursor.objects.filter(source=source, position__lte=second - every_seconds)
    return due.update(position=second) == 1


def position_read(source: str) -> int:
    """Rows up to this id have been read for good; those above it are read again and must change nothing."""
    cursor = AlertCursor.objects.filter(source=source).first()
    return cursor.position if cursor is not None else 0


def position_note(source: str, newest: int, *, now: datetime) -> None:
    """`newest` was read now; once no lower id can appear any more, reading goes on after it."""
    cursor = AlertCursor.objects.filter(source=source).first()
    if cursor is None:
        if not newest:
            return
        cursor, _ = AlertCursor.objects.get_or_create(source=source)
    marks: list[Any] = list(cursor.seen)
    if newest > max([cursor.position, *(mark[0] for mark in marks)]):
        marks.append([newest, now.timestamp()])
    settled = [mark[0] for mark in marks if mark[1] < now.timestamp() - LATE_COMMIT_SECONDS]
    position = max([cursor.position, *settled])
    kept = [mark for mark in marks if mark[0] > position]
    if (position, kept) != (cursor.position, cursor.seen):
        AlertCursor.objects.filter(source=source).update(position=position, seen=kept)
