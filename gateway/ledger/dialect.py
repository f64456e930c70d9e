"""What differs between the two databases' SQL and values. Statements are written with `?` and rendered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


# There is one of each, told apart by identity: every group looks its statements up by it.
@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """`moment` turns an aware datetime into the parameter that Django reads back as the same aware datetime; `hour`
    turns such a value, as a row gives it back, into that of its full hour."""

    name: str
    placeholder: str
    least: str
    greatest: str
    for_update: str
    moment: Callable[[datetime], Any]
    hour: Callable[[Any], Any]

    def render(self, sql: str) -> str:
        return (
            sql.replace("?", self.placeholder)
            .replace("{least}", self.least)
            .replace("{greatest}", self.greatest)
            .replace("{for_update}", self.for_update)
        )


def _naive_utc_text(moment: datetime) -> str:
    """As Django's SQLite backend stores it: UTC without offset, the fraction left out when it is zero."""
    return str(moment.astimezone(UTC).replace(tzinfo=None))


def _aware(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _hour_text(moment: str) -> str:
    return f"{moment[:13]}:00:00"


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


# BEGIN IMMEDIATE holds the only write lock already, so reads need no lock of their own.
SQLITE = Dialect("sqlite", "?", "MIN", "MAX", "", _naive_utc_text, _hour_text)
POSTGRES = Dialect("postgresql", "%s", "LEAST", "GREATEST", "FOR UPDATE", _aware, _hour)
