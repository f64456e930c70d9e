"""What becomes of a record while the database is away: it is spooled, or its request is refused."""

from __future__ import annotations

from gateway.engine.errors import LedgerUnavailable
from gateway.ledger.dialect import SQLITE
from gateway.ledger.records import Extension, Intent, Opened, Settled, Settlement
from gateway.ledger.rows import extension_row, intent_row, settlement_row
from gateway.ledger.spool import Spool
from gateway.ledger.spool_codec import SpooledRecord

_SPOOLED_INTENT, _SPOOLED_SETTLEMENT = Opened(None), Settled(None, None)


class Detour:
    """For any thread; takes microseconds."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool

    def holds(self, identity: str) -> bool:
        return self.spool.holds(identity)

    def take(self, record: SpooledRecord) -> Opened | Settled:
        """Spool the record. Totals and remaining room are not known then.

        Raises LedgerUnavailable for a request under a blocking budget, which only the database can admit, or when the
        spool can't take it; ValueError for a record that no row could hold.
        """
        if isinstance(record, Intent | Extension) and is_blocked(record):
            raise LedgerUnavailable(
                "The ledger's database is away, and this request falls under a budget that blocks: only the database "
                "can say whether there is room for it. Nothing was sent to a provider.",
                retry_after_seconds=1,
            )
        _check(record)
        self.spool.append(record)
        return _SPOOLED_SETTLEMENT if isinstance(record, Settlement) else _SPOOLED_INTENT


def is_blocked(record: Intent | Extension) -> bool:
    """Whether a budget could refuse it: what costs nothing always fits."""
    return any(claim.blocking and claim.amount_usd for claim in record.claims)


def _check(record: SpooledRecord) -> None:
    """What would be refused by the tables must not wait to be."""
    if isinstance(record, Intent):
        intent_row(record, SQLITE)
    elif isinstance(record, Extension):
        extension_row(record)
    else:
        settlement_row(record, SQLITE)
