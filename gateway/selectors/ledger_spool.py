"""What waits in this machine's ledger spools for the database, whichever process put it there.

For the status, the dashboard, and alerts: the event `ledger_spool` is open while `ledger_spool_state().records` is
not 0.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from gateway.ledger.spool import spool_paths, spooled_payloads
from gateway.ledger.spool_codec import record_decode


@dataclass(frozen=True, slots=True)
class SpoolState:
    """`processes` have records that wait, `payload_bytes` in all; `oldest_at` is None when nothing waits.

    While a spool is being drained, what has gone already is counted until all of it has.
    """

    records: int = 0
    payload_bytes: int = 0
    processes: int = 0
    oldest_at: datetime | None = None


def ledger_spool_state(folder: Path | None = None) -> SpoolState:
    """Read from the files themselves; without a database."""
    records = payload_bytes = processes = 0
    oldest: list[float] = []
    for path in spool_paths(folder or settings.LLMOPS_SPOOL_FOLDER):
        count, size, since = _read(path)
        records, payload_bytes, processes = records + count, payload_bytes + size, processes + (count > 0)
        oldest += [] if since is None else [since]
    oldest_at = datetime.fromtimestamp(min(oldest), UTC) if oldest else None
    return SpoolState(records, payload_bytes, processes, oldest_at)


def ledger_spool_words(state: SpoolState) -> str:
    """The attention line; "" when nothing waits."""
    if not state.records or state.oldest_at is None:
        return ""
    records = "1 record waits" if state.records == 1 else f"{state.records:,} records wait"
    return (
        f"{records} in the ledger's local spool since {state.oldest_at:%Y-%m-%d %H:%M:%S} UTC: the database is or was "
        "away. Spend and totals lack them until they are written, which happens by itself once it is back."
    )


def _read(path: Path) -> tuple[int, int, float | None]:
    count, size, since = 0, 0, None
    with suppress(OSError):  # it was drained and removed meanwhile
        for payload in spooled_payloads(path):
            if since is None:
                with suppress(ValueError, KeyError, TypeError):
                    since = record_decode(payload)[1]
            count, size = count + 1, size + len(payload)
    return count, size, since
