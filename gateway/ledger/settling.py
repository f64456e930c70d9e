"""The settlements of a group: completions, attempts, fallbacks, conversation totals; what to release and charge.

A completion is settled once. The one exception: an orphan that was settled at its reservation ("unknown") is corrected
when its process turns out to have lived and tells the truth; only the difference is booked. For that an orphan keeps
its reservation rows: they then say which windows were charged, and how much.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.engine.words import CompletionStatus
from gateway.ledger.database import LedgerConnection, Row
from gateway.ledger.dialect import Dialect
from gateway.ledger.rows import ClaimRow, SettlementRow, WindowKey
from gateway.ledger.statements import Statements

_PENDING, _UNKNOWN = CompletionStatus.PENDING.value, CompletionStatus.UNKNOWN.value
_ConversationKey = tuple[int, str]


class IntentMissing(LookupError):
    """A settlement with a cost for a completion that was never opened."""

    def __init__(self, completion_id: str) -> None:
        super().__init__(f"no intent {completion_id}: its settlement can't be booked")
        self.completion_id = completion_id


@dataclass(slots=True)
class SettledRow:
    """What one settlement did, in pico-dollars: by window what it `released` and what it `charged`."""

    claims: tuple[ClaimRow, ...]
    released: dict[WindowKey, int]
    charged: dict[WindowKey, int]
    conversation: _ConversationKey | None
    conversation_cost: int = 0


@dataclass(slots=True)
class _ConversationChange:
    first_seen_at: Any
    last_seen_at: Any
    completions: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0


class Settling:
    """Writes the rows of single completions and the conversations' totals; the windows are left to the group."""

    def __init__(self, connection: LedgerConnection, statements: Statements) -> None:
        self._connection = connection
        self._statements = statements
        self._hours: set[Any] = set()
        self._changes: dict[_ConversationKey, _ConversationChange] = {}
        self._attempts: list[Row] = []
        self._fallbacks: list[Row] = []
        self._kept: list[Row] = []

    def settle(self, rows: Sequence[SettlementRow]) -> list[SettledRow | IntentMissing]:
        if not rows:
            return []
        changed = self._update(rows, _PENDING)
        # Only now, with the completions locked: a sweep that was faster has left other reservation rows than before.
        held = iter(self._take([row.settlement.id for row, change in zip(rows, changed, strict=True) if change]))
        outcomes = [
            self._settled(row, change[0], next(held)) if change else self._settled_before(row)
            for row, change in zip(rows, changed, strict=True)
        ]
        self._connection.run(self._statements.attempt_insert, self._attempts)
        self._connection.run(self._statements.fallback_insert, self._fallbacks)
        self._connection.run(self._statements.reservation_insert, self._kept)
        self._hours_mark()
        self._conversations_write([outcome for outcome in outcomes if isinstance(outcome, SettledRow)])
        return outcomes

    def _update(self, rows: Sequence[SettlementRow], status: str) -> list[list[Row]]:
        values: list[Row] = [(*row.values, row.settlement.id, status) for row in rows]
        return self._connection.fetch_each(self._statements.completion_settle, values)

    def _take(self, ids: Sequence[str]) -> list[list[Row]]:
        return self._connection.fetch_each(self._statements.reservation_take, [(identity,) for identity in ids])

    def _settled(self, row: SettlementRow, completion: Row, held: Sequence[Row]) -> SettledRow:
        team_id, conversation, created_at = completion
        change = self._change(row, (team_id, conversation), created_at, row.cost)
        change.completions += 1
        released = _by_window(held)
        if row.is_orphan:
            self._kept += [(row.settlement.id, *reservation) for reservation in held]
            return SettledRow(row.claims, released, released, (team_id, conversation))
        return SettledRow(row.claims, released, {key: row.cost_in(key) for key in released}, (team_id, conversation))

    def _settled_before(self, row: SettlementRow) -> SettledRow | IntentMissing:
        """Correct an orphan, or leave everything as it is."""
        found = self._connection.fetch_each(self._statements.completion_read, [(row.settlement.id,)])[0]
        if not found:
            return IntentMissing(row.settlement.id) if row.cost else SettledRow(row.claims, {}, {}, None)
        status, cost, team_id, conversation = found[0]
        if status != _UNKNOWN or row.is_orphan:
            return SettledRow(row.claims, {}, {}, (team_id, conversation))
        created_at = self._update([row], _UNKNOWN)[0][0][2]
        self._change(row, (team_id, conversation), created_at, row.cost - cost)
        charged = _by_window(self._take([row.settlement.id])[0])
        changes = {key: row.cost_in(key) - before for key, before in charged.items()}
        return SettledRow(row.claims, {}, changes, (team_id, conversation))

    def _change(self, row: SettlementRow, key: _ConversationKey, created_at: Any, cost: int) -> _ConversationChange:
        """Note the rows that belong to a settlement, and its share in its conversation's totals."""
        self._attempts += row.attempts
        self._fallbacks += row.fallbacks
        self._hours.add(self._connection.dialect.hour(created_at))
        change = self._changes.setdefault(key, _ConversationChange(created_at, row.finished_at))
        change.first_seen_at = min(change.first_seen_at, created_at)
        change.last_seen_at = max(change.last_seen_at, row.finished_at)
        change.input_tokens += max(0, row.settlement.usage.input_tokens)
        change.output_tokens += max(0, row.settlement.usage.output_tokens)
        change.cost += cost
        return change

    def _hours_mark(self) -> None:
        """Tell the roll-ups of settlements that come when their hour is over: it may have been added up already.

        The clock is read here, while writing: a settlement may have waited for the database since it was made.
        """
        self._connection.run(self._statements.hour_mark, late_hours(self._connection.dialect, self._hours))

    def _conversations_write(self, outcomes: Sequence[SettledRow]) -> None:
        keys = sorted(self._changes)
        costs = self._totals(self._statements.conversation_add, keys, [self._values(key) for key in keys])
        unchanged = sorted({row.conversation for row in outcomes if row.conversation} - costs.keys())
        costs |= self._totals(self._statements.conversation_read, unchanged, unchanged)
        for row in outcomes:
            if row.conversation is not None:
                row.conversation_cost = costs[row.conversation]

    def _totals(self, sql: str, keys: Sequence[_ConversationKey], rows: Sequence[Row]) -> dict[_ConversationKey, int]:
        results = self._connection.fetch_each(sql, rows)
        return {key: result[0][0] if result else 0 for key, result in zip(keys, results, strict=True)}

    def _values(self, key: _ConversationKey) -> Row:
        change = self._changes[key]
        totals = (change.completions, change.input_tokens, change.output_tokens, change.cost)
        return (*key, *totals, change.first_seen_at, change.last_seen_at)


def late_hours(dialect: Dialect, hours: Iterable[Any]) -> list[Row]:
    """Those that are over, as parameter rows in order."""
    this_hour = dialect.hour(dialect.moment(datetime.now(UTC)))
    return [(hour,) for hour in sorted(set(hours)) if hour < this_hour]


def _by_window(held: Sequence[Row]) -> dict[WindowKey, int]:
    return {(budget_id, subject, epoch): amount for budget_id, subject, epoch, amount in held}
