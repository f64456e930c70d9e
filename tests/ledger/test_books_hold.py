"""Any order of reserve, extend, settle, settle again, expire and late settlement keeps budgets and books right."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from gateway.ledger.dialect import SQLITE
from gateway.ledger.group import Group, group_apply
from gateway.ledger.money import pico_to_usd
from gateway.ledger.records import BudgetClaim, Extension, Opened
from gateway.ledger.rows import extension_row, intent_row, settlement_row
from gateway.ledger.sqlite import SqliteConnection
from gateway.ledger.sweep import orphans_settle
from tests.ledger.books import NOW, Books, claim, intent, settlement, usd

LIMIT = usd("1.00")
PENDING = "completion_id IN (SELECT id FROM llmops_completion WHERE status = 'pending')"
amounts = st.integers(1, 600_000_000_000).map(pico_to_usd)
shares = st.integers(0, 100)


def claims_of(amount: Decimal, conversation: str) -> tuple[BudgetClaim, ...]:
    """A blocking budget for everybody, a tighter one per conversation, and one that only alerts."""
    return (
        claim(str(amount), limit=str(LIMIT), budget_id=1, subject=""),
        claim(str(amount), limit="0.70", budget_id=2, subject=f"7:{conversation}"),
        claim(str(amount), limit="0.01", budget_id=3, subject="7", blocking=False),
    )


class Ledger(RuleBasedStateMachine):
    schema: str = ""

    def __init__(self) -> None:
        super().__init__()
        self.connection = SqliteConnection(":memory:")
        for statement in self.schema.split(";\n"):
            self.connection.run(statement, [()])
        self.books = Books(self.connection)
        self.opened: dict[str, Decimal] = {}
        self.conversations: dict[str, str] = {}
        self.settled: dict[str, Decimal] = {}
        self.expired: set[str] = set()
        self.number = 0

    def teardown(self) -> None:
        self.connection.close()

    @rule(asked=st.lists(st.tuples(amounts, st.sampled_from("abc")), min_size=1, max_size=5))
    def reserve(self, asked: list[tuple[Decimal, str]]) -> None:
        rows = []
        for amount, conversation in asked:
            self.number += 1
            made = intent(f"req_{self.number}", *claims_of(amount, conversation), conversation=conversation)
            rows.append(intent_row(made, SQLITE))
        outcome = group_apply(self.connection, Group(opens=rows))
        for row, opened in zip(rows, outcome.opened, strict=True):
            if isinstance(opened, Opened):
                self.opened[row.intent.id] = row.intent.reserved_usd
                self.conversations[row.intent.id] = row.intent.conversation

    @rule(data=st.data(), more=amounts, again=st.booleans())
    def extend(self, data: st.DataObject, more: Decimal, again: bool) -> None:
        """Also after a sweep has settled it, and twice, as after a COMMIT whose answer was lost."""
        if not (waiting := sorted(set(self.opened) - set(self.settled))):
            return
        identity = data.draw(st.sampled_from(waiting))
        total = self.opened[identity] + more
        row = extension_row(Extension(identity, total, claims_of(total, self.conversations[identity])))
        for _ in range(1 + again):
            (extended,) = group_apply(self.connection, Group(extensions=[row])).extended
        assert not (identity in self.expired and isinstance(extended, Opened))
        if isinstance(extended, Opened):
            self.opened[identity] = total

    @rule(data=st.data(), share=shares)
    def settle(self, data: st.DataObject, share: int) -> None:
        """First settlements and late ones of completions that a sweep has already charged."""
        if waiting := sorted(set(self.opened) - set(self.settled)):
            identity = data.draw(st.sampled_from(waiting))
            cost = (self.opened[identity] * share / 100).quantize(Decimal("1e-12"))
            self._apply(identity, cost)
            self.settled[identity] = cost

    @rule(data=st.data())
    def settle_again(self, data: st.DataObject) -> None:
        if self.settled:
            identity = data.draw(st.sampled_from(sorted(self.settled)))
            self._apply(identity, usd("0.5"))

    @rule()
    def expire(self) -> None:
        orphans_settle(self.connection, NOW + timedelta(days=1))
        self.expired |= set(self.opened) - set(self.settled)

    def _apply(self, identity: str, cost: Decimal) -> None:
        row = settlement_row(settlement(identity, str(cost)), SQLITE)
        group_apply(self.connection, Group(settlements=[row]))

    @invariant()
    def no_blocking_budget_is_passed(self) -> None:
        taken = "SELECT MAX(spent_usd + reserved_usd), MIN(spent_usd), MIN(reserved_usd) FROM llmops_budget_window"
        for budget_id, limit in ((1, LIMIT), (2, usd("0.70"))):
            most, least_spent, least_reserved = self.books.rows(f"{taken} WHERE budget_id = {budget_id}")[0]
            assert pico_to_usd(most or 0) <= limit
            assert (least_spent or 0) >= 0
            assert (least_reserved or 0) >= 0

    @invariant()
    def the_books_equal_what_happened(self) -> None:
        orphans = self.expired - set(self.settled)
        pending = set(self.opened) - set(self.settled) - orphans
        spent = sum(self.settled.values(), Decimal(0)) + sum((self.opened[one] for one in orphans), Decimal(0))
        reserved = sum((self.opened[one] for one in pending), Decimal(0))
        for budget_id in (1, 2, 3):
            where = f"budget_id = {budget_id}"
            assert self.books.amount("spent_usd", "llmops_budget_window", where) == spent
            assert self.books.amount("reserved_usd", "llmops_budget_window", where) == reserved
            assert self.books.amount("amount_usd", "llmops_budget_reservation", f"{where} AND {PENDING}") == reserved
        assert self.books.amount("reserved_usd", "llmops_completion", "status = 'pending'") == reserved
        assert self.books.amount("cost_usd", "llmops_completion") == spent
        assert self.books.amount("cost_usd", "llmops_conversation") == spent
        counted = self.books.value("SELECT COALESCE(SUM(completions), 0) FROM llmops_conversation")
        assert counted == len(self.settled) + len(orphans)


def test_spent_and_reserved_hold_at_every_moment(sqlite_template: Path) -> None:
    source = sqlite3.connect(sqlite_template)
    rows = source.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'").fetchall()
    source.close()
    machine: Any = type("LedgerOnTables", (Ledger,), {"schema": ";\n".join(row[0] for row in rows)})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
