"""CPU time of the ledger per completion: intent and settlement with three budgets.

On a SQLite file of its own, or on the empty database that DATABASE_URL names.

    python bench/ledger.py [--completions 4000] [--in-flight 1 8 32]

Prints one line per degree of concurrency: CPU per completion of the whole process (event loop included), completions
per second, records per commit, median and 99th percentile of the wait for an intent.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gateway.engine.usage import Usage
from gateway.engine.words import AttemptOutcome, Billing, CompletionStatus, Wire
from gateway.ledger.connections import ledger_connections, ledger_lock_path
from gateway.ledger.records import AttemptRecord, BudgetClaim, Intent, Settlement
from gateway.ledger.writer import LedgerWriter

USAGE = Usage(input_tokens=800, output_tokens=150)
COST_USD = Decimal("0.0125")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--completions", type=int, default=4000)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 8, 32])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"LLMOPS_DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "llmops.settings"}
        make_tables()
        for in_flight in arguments.in_flight:
            measure(in_flight, arguments.completions)


def make_tables() -> None:
    import django
    from django.db import connection

    django.setup()
    from gateway.models import breaker, budget_window, completion

    tables = (
        completion.Completion,
        completion.Attempt,
        completion.Fallback,
        completion.Conversation,
        budget_window.BudgetWindow,
        budget_window.BudgetReservation,
        breaker.BreakerStatus,
        breaker.BreakerTransition,
    )
    with connection.schema_editor() as editor:
        for table in tables:
            editor.create_model(table)
    connection.close()


def measure(in_flight: int, completions: int) -> None:
    writer = LedgerWriter(ledger_connections(), lock_path=ledger_lock_path())
    writer.start()
    asyncio.run(drive(writer, f"warm{in_flight}", in_flight, 200))
    commits, cpu, wall = writer.commits, time.process_time(), time.perf_counter()
    waits = asyncio.run(drive(writer, f"run{in_flight}", in_flight, completions))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    per_commit = 2 * completions / (writer.commits - commits)
    writer.stop()
    waits.sort()
    print(
        f"{in_flight:4d} in flight: {cpu / completions * 1e3:.3f} ms CPU, {completions / wall:6.0f}/s, "
        f"{per_commit:5.1f} records per commit, wait median {statistics.median(waits) * 1e3:.2f} ms, "
        f"p99 {waits[int(len(waits) * 0.99)] * 1e3:.2f} ms"
    )


async def drive(writer: LedgerWriter, name: str, in_flight: int, completions: int) -> list[float]:
    """Seconds each intent waited."""
    waits: list[float] = []
    numbers = iter(range(completions))

    async def client() -> None:
        for number in numbers:
            await one(writer, f"{name}_{number}", waits.append)

    await asyncio.gather(*(client() for _ in range(in_flight)))
    return waits


async def one(writer: LedgerWriter, identity: str, waited: Callable[[float], None]) -> None:
    now = datetime.now(UTC)
    record = intent(identity, now)
    began = time.perf_counter()
    await writer.open(record)
    waited(time.perf_counter() - began)
    await writer.settle(settlement(record, now))


def intent(identity: str, now: datetime) -> Intent:
    return Intent(
        id=identity,
        created_at=now,
        surface=Wire.OPENAI,
        operation="chat",
        requested_model="default",
        route_id=1,
        route_name="default",
        api_key_id=1,
        api_key_name="agents",
        team_id=1,
        team_name="research",
        conversation=f"conversation-{identity[-2:]}",
        stream=False,
        reserved_usd=Decimal("0.05"),
        lease_until=now + timedelta(minutes=20),
        decision={"targets": ["openai/gpt-4-turbo", "anthropic/claude-3-5-sonnet-20241022"]},
        claims=tuple(claim(budget, subject) for budget, subject in ((1, ""), (2, "1"), (3, f"1:{identity[-2:]}"))),
    )


def claim(budget_id: int, subject: str) -> BudgetClaim:
    return BudgetClaim(
        budget_id=budget_id,
        budget_name=f"budget {budget_id}",
        subject=subject,
        window_starts_at=None,
        resets_at=None,
        limit_usd=Decimal(1_000_000),
        amount_usd=Decimal("0.05"),
        blocking=True,
        visible=budget_id > 1,
    )


def settlement(record: Intent, now: datetime) -> Settlement:
    attempt = AttemptRecord(
        number=1,
        provider="openai",
        model="gpt-4-turbo",
        target_index=0,
        retry=0,
        outcome=AttemptOutcome.SUCCEEDED,
        reason="first target of the route",
        started_at=now,
        latency_ms=400,
        usage=USAGE,
        cost_usd=COST_USD,
        billing=Billing.REPORTED,
        price_id=1,
    )
    return Settlement(
        id=record.id,
        finished_at=now,
        status=CompletionStatus.ANSWERED,
        http_status=200,
        provider="openai",
        model="gpt-4-turbo",
        finish_reason="stop",
        latency_ms=400,
        usage=USAGE,
        cost_usd=COST_USD,
        billing=Billing.REPORTED,
        attempts=(attempt,),
        claims=record.claims,
    )


if __name__ == "__main__":
    main()
