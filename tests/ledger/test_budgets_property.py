"""Whatever is reserved, extended, settled, lost and raised in whatever order: spent + reserved ≤ limit."""

from __future__ import annotations

import random
import shutil
import tempfile
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from gateway.engine.errors import BudgetExceeded, LedgerUnavailable
from gateway.engine.words import Billing, CompletionStatus
from gateway.ledger.connections import ledger_connections
from gateway.ledger.database import LedgerConnection
from gateway.ledger.group import Group, GroupOutcome, group_apply
from gateway.ledger.records import BudgetClaim, Extension, Intent, Settlement
from gateway.ledger.rows import extension_row, intent_row, settlement_row
from llmops.env import sqlite_database
from tests.ledger.books import Books, attempt, claim, intent, settlement

STEP_USD = Decimal("0.05")
BASE_LIMITS = {1: Decimal("1.00"), 2: Decimal("0.60")}


class Model:
    """The ledger under test and what it should hold: room held by completion and budget, spent by budget."""

    def __init__(self, connection: LedgerConnection) -> None:
        self.connection = connection
        self.books = Books(connection)
        self.limits = dict(BASE_LIMITS)
        self.highest = dict(BASE_LIMITS)  # raises end; what was admitted under them stays
        self.open: dict[str, Intent] = {}
        self.held: dict[str, Decimal] = {}
        self.spent = Decimal(0)
        self.made = 0

    def claims(self, amount_usd: Decimal) -> tuple[BudgetClaim, ...]:
        base = claim(subject="")
        return tuple(
            replace(base, budget_id=one, limit_usd=limit_usd, amount_usd=amount_usd)
            for one, limit_usd in self.limits.items()
        )

    def taken(self) -> Decimal:
        return self.spent + sum(self.held.values(), Decimal(0))

    def reserve(self, amounts: list[Decimal]) -> None:
        """Several at once, in one transaction."""
        intents = [self._intent(amount_usd) for amount_usd in amounts]
        outcome = self.apply(opens=[intent_row(one, self.connection.dialect) for one in intents])
        for one, opened in zip(intents, outcome.opened, strict=True):
            fits = self.taken() + one.reserved_usd <= min(self.limits.values())
            assert isinstance(opened, BudgetExceeded) is not fits, (
                "never refused while there is room, nor let in without"
            )
            if fits:
                self.open[one.id], self.held[one.id] = one, one.reserved_usd

    def extend(self, identity: str, more_usd: Decimal) -> None:
        total_usd = self.held[identity] + more_usd
        row = extension_row(Extension(identity, total_usd, self.claims(total_usd)))
        extended = self.apply(extensions=[row]).extended[0]
        fits = self.taken() + more_usd <= min(self.limits.values())
        assert not isinstance(extended, LedgerUnavailable)
        assert isinstance(extended, BudgetExceeded) is not fits
        if fits:
            self.held[identity] = total_usd

    def settle(self, identity: str, share: int) -> None:
        cost_usd = self.held[identity] * share / 4
        self._settle(settlement(identity, str(cost_usd), attempts=(attempt(1, str(cost_usd)),)))
        self.spent += cost_usd

    def release(self, identity: str) -> None:
        self._settle(settlement(identity, "0", status=CompletionStatus.FAILED, attempts=()))

    def expire(self, identity: str) -> None:
        """As the sweep settles an orphan: at its reservation."""
        held_usd = self.held[identity]
        unknown: dict[str, Any] = {"status": CompletionStatus.UNKNOWN, "billing": Billing.UNKNOWN, "attempts": ()}
        self._settle(settlement(identity, str(held_usd), **unknown))
        self.spent += held_usd

    def settle_again(self, identity: str) -> None:
        self.apply(settlements=[settlement_row(settlement(identity, "0", attempts=()), self.connection.dialect)])

    def limit(self, budget_id: int, limit_usd: Decimal) -> None:
        """A raise begins or ends."""
        self.limits[budget_id] = limit_usd
        self.highest[budget_id] = max(self.highest[budget_id], limit_usd)

    def check(self) -> None:
        sql = "SELECT budget_id, spent_usd, reserved_usd FROM llmops_budget_window"
        for budget_id, spent, reserved in self.books.rows(sql):
            spent_usd, reserved_usd = Decimal(int(spent)).scaleb(-12), Decimal(int(reserved)).scaleb(-12)
            assert spent_usd + reserved_usd <= self.highest[budget_id]
            assert (spent_usd, reserved_usd) == (self.spent, sum(self.held.values(), Decimal(0)))

    def apply(self, **rows: Any) -> GroupOutcome:
        return group_apply(self.connection, Group(**rows))

    def _intent(self, amount_usd: Decimal) -> Intent:
        self.made += 1
        return intent(
            f"req_{self.made}", *self.claims(amount_usd), lease_until=intent().created_at + timedelta(hours=1)
        )

    def _settle(self, record: Settlement) -> None:
        self.apply(settlements=[settlement_row(record, self.connection.dialect)])
        del self.open[record.id], self.held[record.id]


def machine(template: Path) -> type[RuleBasedStateMachine]:
    """Hypothesis' state machine on a fresh copy of an empty SQLite ledger for every run."""

    class BudgetMachine(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            self.folder = Path(tempfile.mkdtemp(prefix="budgets-"))
            path = self.folder / "books.sqlite3"
            shutil.copy(template, path)
            self.connection = ledger_connections(sqlite_database(path))()
            self.model = Model(self.connection)

        @rule(steps=st.lists(st.integers(0, 8), min_size=1, max_size=4))
        def reserve(self, steps: list[int]) -> None:
            # What costs nothing always fits; it is not what this is about.
            self.model.reserve([STEP_USD * max(1, step) for step in steps])

        @rule(data=st.data(), steps=st.integers(1, 8))
        def extend(self, data: st.DataObject, steps: int) -> None:
            if self.model.open:
                self.model.extend(data.draw(st.sampled_from(sorted(self.model.open))), STEP_USD * steps)

        @rule(data=st.data(), how=st.sampled_from(["settle", "release", "expire"]), share=st.integers(0, 4))
        def end(self, data: st.DataObject, how: str, share: int) -> None:
            if self.model.open:
                end_one(self.model, data.draw(st.sampled_from(sorted(self.model.open))), how, share)

        @rule(budget_id=st.sampled_from(sorted(BASE_LIMITS)), steps=st.integers(0, 6))
        def begin_or_end_a_raise(self, budget_id: int, steps: int) -> None:
            self.model.limit(budget_id, BASE_LIMITS[budget_id] + STEP_USD * steps)

        @invariant()
        def within_the_limit(self) -> None:
            if hasattr(self, "model"):
                self.model.check()

        def teardown(self) -> None:
            if hasattr(self, "connection"):
                self.connection.close()
                shutil.rmtree(self.folder)

    return BudgetMachine


def end_one(model: Model, identity: str, how: str, share: int) -> None:
    if how == "settle":
        model.settle(identity, share)
        model.settle_again(identity)
    elif how == "release":
        model.release(identity)
    else:
        model.expire(identity)


def test_spent_and_reserved_never_pass_the_limit_under_any_interleaving(sqlite_template: Path) -> None:
    run_state_machine_as_test(
        machine(sqlite_template),
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


@pytest.fixture
def seeded() -> random.Random:
    return random.Random(5)


def test_a_long_random_run_stays_within_the_limit(connection: LedgerConnection, seeded: random.Random) -> None:
    model = Model(connection)
    for _ in range(300):
        identity = seeded.choice(sorted(model.open)) if model.open else ""
        act = seeded.choice(["reserve", "reserve", "extend", "end", "raise"])
        if act == "reserve":
            model.reserve([STEP_USD * seeded.randint(1, 8) for _ in range(seeded.randint(1, 4))])
        elif act == "raise":
            budget_id = seeded.choice(sorted(BASE_LIMITS))
            model.limit(budget_id, BASE_LIMITS[budget_id] + STEP_USD * seeded.randint(0, 6))
        elif identity and act == "extend":
            model.extend(identity, STEP_USD * seeded.randint(1, 8))
        elif identity:
            end_one(model, identity, seeded.choice(["settle", "release", "expire"]), seeded.randint(0, 4))
        model.check()
