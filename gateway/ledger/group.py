"""One transaction of the ledger: a group of intents, settlements and breaker news.

Rows of a single completion come first, shared rows last and in key order (conversations, then budget windows), each
once per group with the sum of its changes: so shared rows are locked shortly and never crosswise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from gateway.engine.errors import BudgetExceeded
from gateway.ledger.admission import WindowState, budget_exceeded, is_overbooked, refusals
from gateway.ledger.database import LedgerConnection, Row
from gateway.ledger.money import pico_to_usd
from gateway.ledger.records import Opened, Settled
from gateway.ledger.rows import ClaimRow, EventRow, IntentRow, SettlementRow, WindowKey
from gateway.ledger.settling import IntentMissing, SettledRow, Settling
from gateway.ledger.statements import Statements, statements_for


@dataclass(frozen=True, slots=True)
class Group:
    """What goes into one transaction. No completion may be both opened and settled in the same group."""

    opens: Sequence[IntentRow] = ()
    settlements: Sequence[SettlementRow] = ()
    events: Sequence[EventRow] = ()


@dataclass(frozen=True, slots=True)
class GroupOutcome:
    """One answer per record, in order; exceptions are values here because the others' work stands."""

    opened: list[Opened | BudgetExceeded] = field(default_factory=list)
    settled: list[Settled | IntentMissing] = field(default_factory=list)


def group_apply(connection: LedgerConnection, group: Group) -> GroupOutcome:
    """Write the group in one transaction.

    When an exception leaves, nothing of it is written (or, where DatabaseAway left COMMIT, perhaps all of it: applying
    it again is safe).
    """
    try:
        connection.begin()
        outcome = _Application(connection, group).apply()
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return outcome


class _Application:
    def __init__(self, connection: LedgerConnection, group: Group) -> None:
        self._connection = connection
        self._statements: Statements = statements_for(connection.dialect)
        self._group = group
        self._states: dict[WindowKey, WindowState] = {}

    def apply(self) -> GroupOutcome:
        fresh = self._intents_insert()
        settled = Settling(self._connection, self._statements).settle(self._group.settlements)
        self._events_write()
        self._windows_add(fresh, settled)
        refused = self._refuse(fresh)
        self._windows_read(self._missing_keys())
        opened: list[Opened | BudgetExceeded] = [
            refused.get(row.intent.id) or Opened(self._remaining(row.claims)) for row in self._group.opens
        ]
        return GroupOutcome(opened, [self._settled(row) for row in settled])

    def _intents_insert(self) -> list[IntentRow]:
        """Insert intents and reservations; the rows that were not there before."""
        opens = self._group.opens
        inserted = self._connection.fetch_each(self._statements.intent_insert, [row.values for row in opens])
        fresh = [row for row, result in zip(opens, inserted, strict=True) if result]
        self._connection.run(
            self._statements.reservation_insert,
            [(row.intent.id, *claim.key, claim.amount) for row in fresh for claim in row.claims],
        )
        return fresh

    def _windows_add(self, fresh: Iterable[IntentRow], settled: Iterable[SettledRow | IntentMissing]) -> None:
        spent: defaultdict[WindowKey, int] = defaultdict(int)
        reserved: defaultdict[WindowKey, int] = defaultdict(int)
        for row in fresh:
            for claim in row.claims:
                reserved[claim.key] += claim.amount
        for item in settled:
            if isinstance(item, SettledRow):
                for key, amount in item.released:
                    reserved[key] -= amount
                    spent[key] += item.charged
        keys = sorted(reserved)
        rows: list[Row] = [(*key, spent[key], reserved[key]) for key in keys]
        results = self._connection.fetch_each(self._statements.window_add, rows)
        self._states.update({key: WindowState(*result[0]) for key, result in zip(keys, results, strict=True)})

    def _refuse(self, fresh: Sequence[IntentRow]) -> dict[str, BudgetExceeded]:
        """Take out again, within the transaction, the intents that don't fit a blocking budget."""
        if not is_overbooked(fresh, self._states):
            return {}
        refused = refusals(fresh, self._states)
        ids: list[Row] = [(identity,) for identity in refused]
        self._connection.run(self._statements.intent_delete, ids)
        self._connection.fetch_each(self._statements.reservation_take, ids)
        self._unreserve(claim for row in fresh if row.intent.id in refused for claim in row.claims)
        return {identity: budget_exceeded(refusal) for identity, refusal in refused.items()}

    def _unreserve(self, claims: Iterable[ClaimRow]) -> None:
        amounts: defaultdict[WindowKey, int] = defaultdict(int)
        for claim in claims:
            amounts[claim.key] -= claim.amount
        rows: list[Row] = [(*key, 0, amount) for key, amount in sorted(amounts.items())]
        results = self._connection.fetch_each(self._statements.window_add, rows)
        for row, result in zip(rows, results, strict=True):
            self._states[row[0], row[1], row[2]] = WindowState(*result[0])

    def _missing_keys(self) -> list[WindowKey]:
        """Windows whose remaining room must be told although nothing changed in them: the work had been done before."""
        rows: list[IntentRow | SettlementRow] = [*self._group.opens, *self._group.settlements]
        wanted = {claim.key for row in rows for claim in row.claims if claim.claim.visible}
        return sorted(wanted - self._states.keys())

    def _windows_read(self, keys: Sequence[WindowKey]) -> None:
        results = self._connection.fetch_each(self._statements.window_read, keys)
        for key, result in zip(keys, results, strict=True):
            self._states[key] = WindowState(*result[0]) if result else WindowState(0, 0)

    def _remaining(self, claims: Iterable[ClaimRow]) -> Decimal | None:
        """Room left in the tightest budget that the client may know of."""
        rooms = [claim.limit - self._states[claim.key].taken for claim in claims if claim.claim.visible]
        return pico_to_usd(max(0, min(rooms))) if rooms else None

    def _settled(self, row: SettledRow | IntentMissing) -> Settled | IntentMissing:
        if isinstance(row, IntentMissing):
            return row
        return Settled(pico_to_usd(row.conversation_cost), self._remaining(row.claims))

    def _events_write(self) -> None:
        # Status rows are shared: in key order; those of one provider stay in the order of their news.
        events = sorted(self._group.events, key=lambda event: str(event.status[0]))
        self._connection.run(self._statements.breaker_status_put, [event.status for event in events])
        transitions = [event.transition for event in self._group.events if event.transition is not None]
        self._connection.run(self._statements.breaker_transition_insert, transitions)
