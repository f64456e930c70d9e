"""The ledger's local spool is in use: the database is or was away from some process of this machine.

While the database is away nothing can be written here either. A sweep therefore remembers that it saw the spool in use,
and tells it once the database is back, even if the spool is empty again by then.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import datetime

from gateway.alerts.incidents import Finding, incident_close, incident_open, incidents_open
from gateway.models.words import AlertEvent
from gateway.selectors.ledger_spool import SpoolState, ledger_spool_state, ledger_spool_words


@dataclass(slots=True)
class SpoolWatch:
    """One per process that sweeps. `unsaid` is the last use that no incident tells of yet."""

    host: str
    unsaid: SpoolState | None = None

    def look(self) -> SpoolState:
        """Reads the spools' files: needs no database."""
        state = ledger_spool_state()
        if state.records:
            self.unsaid = state
        return state

    def derive(self, state: SpoolState, *, now: datetime) -> int:
        """How many were opened or closed. Only this machine's worker knows this machine's spools."""
        changed = 0
        if self.unsaid is not None:
            finding = Finding(
                kind=AlertEvent.LEDGER_SPOOL,
                subject=self.host,
                message=ledger_spool_words(self.unsaid) or "Records waited in the ledger's local spool.",
                opened_at=self.unsaid.oldest_at or now,
            )
            changed += incident_open(finding, now=now)
            self.unsaid = None
        if not state.records:
            ours = [alert for alert in incidents_open(AlertEvent.LEDGER_SPOOL) if alert.subject == self.host]
            changed += sum(incident_close(alert, at=now, now=now) for alert in ours)
        return changed


SPOOL_WATCH = SpoolWatch(host=socket.gethostname())
