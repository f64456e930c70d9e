"""Pages by key: each begins after the last row of the one before, so that a late page costs what the first does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_MICROSECONDS = 10**16  # in the year 2286
_LONGEST_KEY = 40


@dataclass(frozen=True, slots=True)
class Cursor:
    """A row's moment and its key, as one word for an address: `microseconds.key`."""

    moment: datetime
    key: str

    def __str__(self) -> str:
        return f"{(self.moment - _EPOCH) // timedelta(microseconds=1)}.{self.key}"

    @classmethod
    def of(cls, text: str) -> Cursor:
        """Raises ValueError for what no cursor looks like."""
        microseconds, dot, key = text.partition(".")
        if not (dot and key.isascii() and key.isprintable() and 0 < len(key) <= _LONGEST_KEY):
            raise ValueError("not a cursor")
        if not (microseconds.isascii() and microseconds.isdecimal() and int(microseconds[:18]) < _LARGEST_MICROSECONDS):
            raise ValueError("not a cursor")
        return cls(_EPOCH + timedelta(microseconds=int(microseconds[:18])), key)
