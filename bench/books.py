"""`python -m bench.books`: what was billed is what is booked, whatever happens (docs/books.md).

    python -m bench.books kills  [--count 20]      kill -9 of workers under load, then a restart
    python -m bench.books mixed  [--count 10000]   errors, cut and left streams, time-outs, fallbacks, cached tokens
    python -m bench.books budget [--clients 50]    a $1.00 budget and a $0.50 conversation cap, four processes
                          conversation             the cap alone (a database of PostgreSQL is empty only once)

The simulator keeps its own bill. `--database-url` names an empty PostgreSQL database, else SQLite is used.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.audit import bill_by_trace, billed, completions, requests_disagreeing, sums_disagreeing
from bench.clients import Request, chat, mixed, send_all
from bench.fleet import Fleet, fleet
from gateway.ledger.connections import ledger_connections, ledger_lock_path
from gateway.ledger.database import LedgerConnection
from gateway.ledger.drain import dead_spools_drain
from gateway.ledger.sweep import orphans_settle
from gateway.simulator import Fault, FaultKind, SimulatorThread
from gateway.simulator.server import Simulator
from llmops.env import database_from_url

KEY = "sk-llmops-books-0123456789abcdef0123456789abcdef"
ATTEMPT_SECONDS = 2
GPT, CLAUDE = (
    {"provider": "openai", "model": "gpt-4-turbo"},
    {
        "provider": "anthropic",
        "model": "claude-3-5-sonnet-20241022",
    },
)
PICO = 10**12


def document(url: str, budgets: list[dict[str, Any]]) -> dict[str, Any]:
    """Short time-outs, breakers that stay closed, and prices as `bench.audit` has them."""
    return {
        "providers": [_provider("openai", f"{url}/openai/v1"), _provider("anthropic", f"{url}/anthropic")],
        "routes": [
            {"name": "default", "targets": [GPT, CLAUDE]},
            {"name": "openai-only", "targets": [GPT]},
            {"name": "claude", "targets": [CLAUDE, GPT]},
        ],
        "teams": [{"name": "books"}],
        "api_keys": [{"name": "agents", "key": KEY, "team": "books"}],
        "prices": [
            {
                "kind": "openai", "model": "gpt-4-turbo",
                "input_per_mtok": "10", "cached_input_per_mtok": "5", "output_per_mtok": "30",
            },
            {
                "kind": "anthropic", "model": "claude-3-5-sonnet-20241022", "input_per_mtok": "3",
                "cached_input_per_mtok": "0.30", "cache_write_per_mtok": "3.75", "output_per_mtok": "15",
            },
        ],
        "budgets": [
            {"name": "everything", "scope": "global", "window": "total", "limit_usd": "100000", "enforcement": "alert"},
            *budgets,
        ],
    }  # fmt: skip


def _provider(name: str, base_url: str) -> dict[str, Any]:
    return {
        "name": name,
        "kind": name,
        "base_url": base_url,
        "api_key": "sk-simulated",
        "attempt_timeout_seconds": ATTEMPT_SECONDS,
        "first_token_timeout_seconds": ATTEMPT_SECONDS,
        "stall_timeout_seconds": ATTEMPT_SECONDS,
        "backoff_seconds": 0.005,
        "backoff_max_seconds": 0.02,
        "breaker": {"failure_threshold": 1000, "cooldown_seconds": 60},
    }


@contextmanager
def books(data_dir: Path, database_url: str) -> Iterator[LedgerConnection]:
    """The books once everybody has stopped and the sweep of the back office has run."""
    database = database_from_url(database_url, data_dir)
    connection = ledger_connections(database)()
    try:
        dead_spools_drain(connection, data_dir / "ledger-spool", lock_path=ledger_lock_path(database))
        orphans_settle(connection, datetime.now(UTC), lock_path=ledger_lock_path(database))
        yield connection
    finally:
        connection.close()


def kills(folder: Path, *, count: int, clients: int, database_url: str = "") -> tuple[list[str], str]:
    """Workers are killed under load, `count` times, then all is started again: faults, and what was seen."""
    with SimulatorThread() as simulator:
        simulator.faults.add(Fault(kind=FaultKind.SLOW_TOKENS, seconds=0.005))
        with fleet(folder, document(simulator.url, []), processes=2, database_url=database_url) as gateway:
            numbers: dict[str, int] = {}
            sent = 0
            for round_ in range(count):
                requests = [_own_conversation(sent + index) for index in range(6 * clients)]
                sent += len(requests)
                numbers |= {request.conversation: request.number for request in requests}
                asyncio.run(_under_fire(gateway, requests, clients, 0.2 + 0.1 * (round_ % 5)))
                gateway.start(1)
            gateway.stop()
            simulator.log.wait_idle(30)
            with books(gateway.data_dir, database_url) as connection:
                bill, booked = bill_by_trace(simulator.log.rows()), completions(connection)
                faults = requests_disagreeing(bill, booked, numbers) + sums_disagreeing(connection)
    unknown = sum(row.status == "unknown" for row in booked)
    return faults, f"{count} kills, {sent} requests sent, {len(booked)} booked, {unknown} of them unknown"


def _own_conversation(number: int) -> Request:
    body = chat(f"[[tokens: 20]] number {number}", stream=number % 2 == 0)
    return Request(number, f"k-{number}", body)


async def _under_fire(gateway: Fleet, requests: list[Request], clients: int, after_seconds: float) -> None:
    sending = asyncio.create_task(send_all(gateway.port, KEY, requests, clients=clients))
    await asyncio.sleep(after_seconds)
    await asyncio.to_thread(gateway.kill_one)
    await sending


def mixture(folder: Path, *, count: int, clients: int, database_url: str = "") -> tuple[list[str], str]:
    """Everything that goes wrong with providers and clients: faults, and what was seen."""
    with SimulatorThread() as simulator:
        _trouble(simulator)
        with fleet(folder, document(simulator.url, []), processes=1, database_url=database_url) as gateway:
            requests = [_alone(request) for request in mixed(count)]
            asyncio.run(send_all(gateway.port, KEY, requests, clients=clients))
            gateway.stop()
            simulator.log.wait_idle(30)
            with books(gateway.data_dir, database_url) as connection:
                bill, booked = bill_by_trace(simulator.log.rows()), completions(connection)
                numbers = {request.conversation: request.number for request in requests}
                faults = requests_disagreeing(bill, booked, numbers) + sums_disagreeing(connection)
    exact = sum(row.billing in ("reported", "none") for row in booked)
    billed_usd, booked_usd = sum(bill.values()) / PICO, sum(row.cost for row in booked) / PICO
    return faults, (
        f"{len(booked)} completions, {exact} booked exactly, {len(booked) - exact} at an upper bound; "
        f"billed ${billed_usd:.6f}, booked ${booked_usd:.6f}"
    )


def _alone(request: Request) -> Request:
    return Request(request.number, f"m-{request.number}", request.body, request.leaves_after_seconds)


def _trouble(simulator: Simulator) -> None:
    for share, kind, facts in (
        (0.04, FaultKind.STATUS, {"status": 503}),
        (0.03, FaultKind.STATUS, {"status": 429}),
        (0.03, FaultKind.RESET, {}),
        (0.03, FaultKind.CUT, {"after_tokens": 3}),
        (0.02, FaultKind.ERROR_EVENT, {"after_tokens": 2}),
        (0.02, FaultKind.NO_USAGE, {}),
        (0.02, FaultKind.MALFORMED_CHUNK, {"after_tokens": 1}),
        (0.005, FaultKind.STALL, {"after_tokens": 2}),
        (0.005, FaultKind.HANG, {}),
    ):
        simulator.faults.add(Fault(kind=kind, share=share, **facts))  # type: ignore[arg-type]


LIMITS: Mapping[str, dict[str, Any]] = {
    "budget": {"name": "limit", "scope": "team", "subject": "books", "window": "total", "limit_usd": "1.00"},
    "conversation": {"name": "limit", "scope": "conversation", "window": "total", "limit_usd": "0.50"},
}


def limit(
    folder: Path, *, what: str, processes: int, clients: int, requests: int, database_url: str = ""
) -> tuple[list[str], str]:
    """Far more is asked for than `what` allows: faults, and what was seen."""
    budget = {**LIMITS[what], "enforcement": "block"}
    most = int(float(budget["limit_usd"]) * PICO)
    with (
        SimulatorThread() as simulator,
        fleet(folder, document(simulator.url, [budget]), processes=processes, database_url=database_url) as gateway,
    ):
        refusals: list[bytes] = []
        asked = [_costly(number) for number in range(requests)]
        statuses = asyncio.run(send_all(gateway.port, KEY, asked, clients=clients, refusals=refusals))
        gateway.stop()
        simulator.log.wait_idle(30)
        with books(gateway.data_dir, database_url) as connection:
            spent = sum(billed(row) for row in simulator.log.rows())
            faults = sums_disagreeing(connection)
            faults += [f"billed {spent} pico-dollars, the limit is {most}"] * (spent > most)
            faults += ["no request was refused: the limit was not tried"] * (429 not in statuses.values())
            faults += [f"refused although there was room: {refusal!r}" for refusal in refusals if _had_room(refusal)]
    answered = sum(status == 200 for status in statuses.values())
    return faults, f"{answered} of {requests} answered, billed ${spent / PICO:.6f} of ${budget['limit_usd']}"


def _had_room(refusal: bytes) -> bool:
    """Whether the request's worst case would have fitted, by the refusal's own facts."""
    facts = json.loads(refusal)["error"]["details"]
    limit_usd, *others = (Decimal(facts[f"{name}_usd"]) for name in ("limit", "spent", "reserved", "requested"))
    return sum(others) <= limit_usd


def _costly(number: int) -> Request:
    body = chat(f"[[tokens: 400]] number {number}", model="openai-only", stream=number % 2 == 0, most_tokens=500)
    return Request(number, "one", body)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bench.books", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("kills", "mixed", "budget", "conversation"))
    parser.add_argument("--count", type=int, help="kills, or calls")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--database-url", default="", help="an empty PostgreSQL database")
    options = parser.parse_args()
    failed = False
    for name, faults, seen, seconds in _runs(options):
        sys.stdout.write(f"{name}: {seen} ({seconds:.0f} s): {'balanced' if not faults else 'NOT BALANCED'}\n")
        sys.stdout.writelines(f"  {fault}\n" for fault in faults[:20])
        failed = failed or bool(faults)
    return int(failed)


def _runs(options: argparse.Namespace) -> Iterator[tuple[str, list[str], str, float]]:
    clients, url = options.clients, options.database_url
    runs: dict[str, Any] = {
        "kills": lambda folder: kills(folder, count=options.count or 20, clients=clients, database_url=url),
        "mixed": lambda folder: mixture(folder, count=options.count or 10_000, clients=clients, database_url=url),
    }
    if options.what in LIMITS:
        both = options.what == "budget" and not url  # each wants an empty database
        runs = {
            what: lambda folder, what=what: limit(
                folder, what=what, processes=4, clients=4 * clients, requests=20 * clients, database_url=url
            )
            for what in (LIMITS if both else (options.what,))
        }
    else:
        runs = {options.what: runs[options.what]}
    for name, run in runs.items():
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            faults, seen = run(Path(folder))
            yield name, faults, seen, time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
