"""One transaction of the ledger: a group of intents, extensions, settlements and breaker news.

Rows of a single completion come first, shared rows last and in key order (conversations, then budget windows), each
once per group with the sum of its changes: so shared rows are locked shortly and never crosswise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from gateway.engine.errors import BudgetExceeded, LedgerUnavailable
from gateway.ledger.admission import Asking, WindowState, all_fit, budget_exceeded, refusals
from gateway.ledger.database import LedgerConnection, Row
from gateway.ledger.extending import Extending, Raise
from gateway.ledger.money import pico_to_usd
from gateway.ledger.records import Opened, Settled
from gateway.ledger.rows import ClaimRow, EventRow, ExtensionRow, IntentRow, SettlementRow, WindowKey
from gateway.ledger.settling import IntentMissing, SettledRow, Settling, late_hours
from gateway.ledger.statements import Statements, statements_for


@dataclass(frozen=True, slots=True)
class Group:
    """What goes into one transaction. Of one completion there may be one kind of record only."""

    opens: Sequence[IntentRow] = ()
    settlements: Sequence[SettlementRow] = ()
    events: Sequence[EventRow] = ()
    extensions: Sequence[ExtensionRow] = ()
    refusals: Sequence[Row] = ()


@dataclass(frozen=True, slots=True)
class GroupOutcome:
    """One answer per record, in order; exceptions are values here because the others' work stands."""

    opened: list[Opened | BudgetExceeded] = field(default_factory=list)
    settled: list[Settled | IntentMissing] = field(default_factory=list)
    extended: list[Opened | BudgetExceeded | LedgerUnavailable] = field(default_factory=list)


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
        self._extending = Extending(connection, self._statements)
        self._states: dict[WindowKey, WindowState] = {}

    def apply(self) -> GroupOutcome:
        """Most groups are small and of one kind: a stage without rows costs a look."""
        opens = self._intents_insert()
        raises = self._extending.extend(self._group.extensions)
        settled = Settling(self._connection, self._statements).settle(self._group.settlements)
        self._refusals_write()
        self._events_write()
        # What has been begun comes first: money was spent on it.
        asking: list[Asking] = [*(one for one in raises if one is not None), *opens]
        self._windows_add(asking, settled)
        refused = self._refuse(asking)
        self._windows_read(self._missing_keys())
        opened: list[Opened | BudgetExceeded] = [
            refused.get(row.id) or Opened(self._remaining(row.claims), self._windows(row)) for row in self._group.opens
        ]
        return GroupOutcome(opened, [self._settled(row) for row in settled], self._extended(raises, refused))

    def _extended(
        self, raises: Iterable[Raise | None], refused: dict[str, BudgetExceeded]
    ) -> list[Opened | BudgetExceeded | LedgerUnavailable]:
        return [
            LedgerUnavailable("This request was given up for lost and settled; it can't go on.")
            if one is None
            else refused.get(one.id) or Opened(self._remaining(one.row.claims))
            for one in raises
        ]

    def _intents_insert(self) -> list[IntentRow]:
        """Insert intents and reservations; the rows that were not there before."""
        opens = self._group.opens
        if not opens:
            return []
        inserted = self._connection.fetch_each(self._statements.intent_insert, [row.values for row in opens])
        fresh = [row for row, result in zip(opens, inserted, strict=True) if result]
        self._connection.run(
            self._statements.reservation_insert,
            [(row.id, *claim.key, claim.amount) for row in fresh for claim in row.claims],
        )
        return fresh

    def _windows_add(self, asking: Iterable[Asking], settled: Iterable[SettledRow | IntentMissing]) -> None:
        spent: defaultdict[WindowKey, int] = defaultdict(int)
        reserved: defaultdict[WindowKey, int] = defaultdict(int)
        for row in asking:
            for claim in row.claims:
                reserved[claim.key] += claim.amount
        for item in settled:
            if isinstance(item, SettledRow):
                for key, amount in item.released.items():
                    reserved[key] -= amount
                for key, amount in item.charged.items():
                    spent[key] += amount
        if not reserved and not spent:
            return
        keys = sorted(reserved.keys() | spent.keys())
        rows: list[Row] = [(*key, spent[key], reserved[key]) for key in keys]
        results = self._connection.fetch_each(self._statements.window_add, rows)
        self._states.update({key: WindowState(*result[0]) for key, result in zip(keys, results, strict=True)})

    def _refuse(self, asking: Sequence[Asking]) -> dict[str, BudgetExceeded]:
        """Take out again, within the transaction, what doesn't fit a blocking budget."""
        if not self._states or all_fit(asking, self._states):
            return {}
        refused = refusals(asking, self._states)
        rows = [row for row in asking if row.id in refused]
        self._extending.undo([row for row in rows if isinstance(row, Raise)])
        ids: list[Row] = [(row.id,) for row in rows if isinstance(row, IntentRow)]
        self._connection.run(self._statements.intent_delete, ids)
        self._connection.fetch_each(self._statements.reservation_take, ids)
        self._unreserve(claim for row in rows for claim in row.claims)
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
        group = self._group
        wanted = {claim.key for row in group.opens for claim in row.claims}
        others: tuple[SettlementRow | ExtensionRow, ...] = (*group.settlements, *group.extensions)
        wanted.update(claim.key for row in others for claim in row.claims if claim.claim.visible)
        return sorted(wanted - self._states.keys())

    def _windows_read(self, keys: Sequence[WindowKey]) -> None:
        results = self._connection.fetch_each(self._statements.window_read, keys)
        for key, result in zip(keys, results, strict=True):
            self._states[key] = WindowState(*result[0]) if result else WindowState(0, 0)

    def _remaining(self, claims: Iterable[ClaimRow]) -> Decimal | None:
        """Room left in the tightest budget that the client may know of."""
        rooms = [claim.limit - self._states[claim.key].taken for claim in claims if claim.claim.visible]
        return pico_to_usd(max(0, min(rooms))) if rooms else None

    def _windows(self, row: IntentRow) -> tuple[tuple[int, int], ...]:
        """Spent and reserved by others, claim by claim."""
        states = self._states
        return tuple(
            (states[claim.key].spent, max(0, states[claim.key].reserved - claim.amount)) for claim in row.claims
        )

    def _settled(self, row: SettledRow | IntentMissing) -> Settled | IntentMissing:
        if isinstance(row, IntentMissing):
            return row
        return Settled(pico_to_usd(row.conversation_cost), self._remaining(row.claims))

    def _refusals_write(self) -> None:
        refusals, dialect = self._group.refusals, self._connection.dialect
        if not refusals:
            return
        self._connection.run(self._statements.refusal_insert, refusals)
        hours = late_hours(dialect, (dialect.hour(created_at) for _, created_at, *_ in refusals))
        self._connection.run(self._statements.hour_mark, hours)

    def _events_write(self) -> None:
        if not self._group.events:
            return
        # Status rows are shared: in key order; those of one provider stay in the order of their news.
        states = [event.status for event in self._group.events if event.status is not None]
        self._connection.run(self._statements.breaker_status_put, sorted(states, key=lambda state: str(state[0])))
        transitions = [event.transition for event in self._group.events if event.transition is not None]
        self._connection.run(self._statements.breaker_transition_insert, transitions)
