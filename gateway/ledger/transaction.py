"""Works of the writer's thread as one transaction: their records as rows, and its answers as their verdicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from gateway.ledger.database import LedgerConnection
from gateway.ledger.dialect import Dialect
from gateway.ledger.group import Group, group_apply
from gateway.ledger.records import BreakerEvent, Extension, Intent, Refusal, Settlement
from gateway.ledger.rows import event_row, extension_row, intent_row, refusal_row, settlement_row
from gateway.ledger.waiting import Work


def encoded(record: object, dialect: Dialect) -> object:
    """The record as its rows; raises for what no column could hold."""
    if isinstance(record, Intent):
        return intent_row(record, dialect)
    if isinstance(record, Extension):
        return extension_row(record)
    if isinstance(record, Settlement):
        return settlement_row(record, dialect)
    if isinstance(record, Refusal):
        return refusal_row(record, dialect)
    return event_row(record, dialect)  # type: ignore[arg-type]


def _identity(work: Any) -> str:
    identity: str = work.record.id
    return identity


def works_apply(connection: LedgerConnection, works: Sequence[Work]) -> list[object]:
    """Write the works in one transaction: one verdict per work, in order. An exception that leaves is of the whole
    group (see `group_apply`)."""
    kinds: defaultdict[type, list[Work]] = defaultdict(list)
    for work in works:
        kinds[type(work.record)].append(work)
    opens, extensions = kinds[Intent], kinds[Extension]
    # In the order of their ids: two processes that settle the same completions must not lock them crosswise.
    settlements = sorted(kinds[Settlement], key=_identity)
    outcome = group_apply(
        connection,
        Group(
            opens=[work.encoded for work in opens],
            settlements=[work.encoded for work in settlements],
            events=[work.encoded for work in kinds[BreakerEvent]],
            extensions=[work.encoded for work in extensions],
            refusals=[work.encoded for work in kinds[Refusal]],
        ),
    )
    asked = [*opens, *extensions, *settlements]
    answers = [*outcome.opened, *outcome.extended, *outcome.settled]
    verdicts: dict[int, object] = {id(work): verdict for work, verdict in zip(asked, answers, strict=True)}
    return [verdicts.get(id(work)) for work in works]
