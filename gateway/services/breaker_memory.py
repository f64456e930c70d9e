"""What the rows remember of breakers, for a process that begins."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from gateway.engine.words import BreakerState
from gateway.models import BreakerStatus


@dataclass(frozen=True, slots=True)
class OpenBreaker:
    """`opened_at` is in seconds since 1970."""

    provider: str
    opened_at: float
    consecutive_failures: int
    last_error: str


def open_breakers() -> tuple[OpenBreaker, ...]:
    """Breakers that were not closed when somebody last wrote of them.

    One whose cool-down is over counts too: its first request is then a probe, whose success closes the alert as well.
    Raises Django's DatabaseError. Closes its connection: it is called from a thread that ends.
    """
    try:
        rows = BreakerStatus.objects.exclude(state=BreakerState.CLOSED).filter(opened_at__isnull=False)
        return tuple(
            OpenBreaker(row.provider, row.opened_at.timestamp(), row.consecutive_failures, row.last_error)
            for row in rows
            if row.opened_at is not None
        )
    finally:
        connection.close()
