"""`python -m bench.batches`: ten thousand lines over both providers while workers are killed (docs/batches.md).

    python -m bench.batches [--lines 10000] [--postgres]

Half of the lines go to each provider. The worker is killed (-9) while budgets are asked and while results are
collected, and started again; Anthropic makes its batch and the connection breaks before it says so; OpenAI's batch
expires before its last lines, which then run by themselves. The run fails unless every line has exactly one result, no
line was billed twice, and the simulator's bill equals the ledger, at batch prices for what ran in batches. On SQLite,
or on a PostgreSQL of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai

from bench.audit import PRICES, completions, sums_disagreeing
from bench.books import KEY, books, document
from bench.fleet import ROOT, Fleet, fleet
from gateway.ledger.connections import ledger_connections
from gateway.ledger.database import LedgerConnection
from gateway.simulator import Fault, FaultKind, SimulatorThread
from gateway.simulator.bill import BillLine
from gateway.simulator.server import Simulator
from llmops.broker import empty_broker_folder
from llmops.env import database_from_url
from tests.servers import postgres_server

LONGEST_SECONDS = 1800.0
# So short that a worker finds what a killed one left without much waiting.
SHORT = {"LLMOPS_BATCH_RECONCILE_SECONDS": "2", "LLMOPS_BATCH_LEASE_SECONDS": "2"}
ALONE_SHARE = 50  # one line in so many is left out by OpenAI's batch


def proof(folder: Path, *, lines: int, celery: bool = True, database_url: str = "") -> tuple[list[str], str]:
    """Faults, and what was seen. `celery` runs the real worker and clock; else a worker that does nothing else.

    `database_url` names an empty PostgreSQL database; "" is SQLite.
    """
    with SimulatorThread(batch_seconds=1.0) as simulator:
        left_out = max(1, lines // ALONE_SHARE)
        simulator.faults.add(Fault(kind=FaultKind.CUT, provider="anthropic", times=1))
        simulator.faults.add(
            Fault(kind=FaultKind.BATCH_EXPIRES, provider="openai", after_lines=lines // 2 - left_out, times=3)
        )
        config = document(simulator.url, [])
        for price in config["prices"]:
            price["batch_factor"] = "0.5"
        with fleet(folder, config, processes=1, database_url=database_url) as gateway:
            run = _Run(folder, gateway, simulator, lines, celery=celery)
            try:
                results = run.results()
            finally:
                run.stop()
            gateway.stop()
            simulator.log.wait_idle(30)
            with books(gateway.data_dir, database_url) as connection:
                faults = [*_results_faults(results, lines), *_bill_faults(simulator, connection)]
                faults += sums_disagreeing(connection)
                seen = _seen(simulator, connection, run)
    return faults, seen


class _Run:
    """One batch from its file to its results, with a worker that is killed twice."""

    def __init__(self, folder: Path, gateway: Fleet, simulator: Simulator, lines: int, *, celery: bool) -> None:
        self._folder = folder
        self._gateway = gateway
        self._simulator = simulator
        self._lines = lines
        self._celery = celery
        self._processes: list[subprocess.Popen[bytes]] = []
        self.kills = 0
        if celery:
            empty_broker_folder(gateway.data_dir)
            schedule = str(folder / "beat")
            self._start("celery", "--app", "llmops", "--quiet", "beat", "--schedule", schedule, "--pidfile", "")
        self._worker = self._start_worker()

    def _start(self, *module: str) -> subprocess.Popen[bytes]:
        variables = {**self._gateway.environment, **SHORT, "PYTHONPATH": str(ROOT)}
        with (self._folder / "worker.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", *module], cwd=ROOT, env=variables, stdout=log, stderr=log)
        self._processes.append(process)
        return process

    def _start_worker(self) -> subprocess.Popen[bytes]:
        if not self._celery:
            return self._start("tests.batch_worker")
        pool = ("--pool", "threads", "--concurrency", "4", "--loglevel", "WARNING")
        return self._start("celery", "--app", "llmops", "--quiet", "worker", *pool)

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def results(self) -> list[str]:
        """The custom_ids of all results, as often as they come."""
        with openai.OpenAI(base_url=f"http://127.0.0.1:{self._gateway.port}/v1", api_key=KEY, max_retries=2) as client:
            content = "\n".join(_line(number) for number in range(self._lines)).encode()
            file = client.files.create(file=("lines.jsonl", content), purpose="batch")
            made = client.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
            self._kill_when("state = 'reserved'", self._lines // 10)
            self._kill_when("state = 'done'", self._lines // 10)
            batch = _until(lambda: client.batches.retrieve(made.id), lambda one: one.status == "completed")
            files = [one for one in (batch.output_file_id, batch.error_file_id) if one]
            return [
                json.loads(line)["custom_id"] for one in files for line in client.files.content(one).text.splitlines()
            ]

    def _kill_when(self, lines: str, count: int) -> None:
        """`kill -9` of the worker once so many lines are there, and another one."""
        sql = f"SELECT COUNT(*) FROM llmops_batch_line WHERE {lines}"  # noqa: S608  # ours
        url = self._gateway.environment["DATABASE_URL"]
        connection = ledger_connections(database_from_url(url, self._gateway.data_dir))()
        try:
            _until(lambda: int(connection.fetch_each(sql, [()])[0][0][0]), lambda found: found >= count)
        finally:
            connection.close()
        self._worker.kill()
        self._worker.wait()
        self.kills += 1
        self._worker = self._start_worker()


def _line(number: int) -> str:
    route = "openai-only" if number % 2 else "claude"
    body = {"model": route, "messages": [{"role": "user", "content": f"[[tokens: {1 + number % 40}]] Line {number}."}]}
    return json.dumps({"custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})


def _until(look: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + LONGEST_SECONDS
    while not done(found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done after {LONGEST_SECONDS:g} s: {found}")
        time.sleep(0.02)
    return found


def _results_faults(results: list[str], lines: int) -> list[str]:
    counted = Counter(results)
    missing = lines - len(counted)
    doubled = [one for one, times in counted.items() if times > 1]
    faults = [f"{missing} lines have no result"] if missing else []
    return faults + [f"{one} has more than one result" for one in doubled[:10]]


def _bill_faults(simulator: Simulator, connection: LedgerConnection) -> list[str]:
    twice = [f"{one} was billed {times} times" for one, times in simulator.batches.charged.items() if times > 1]
    billed, booked = bill(simulator), sum(row.cost for row in completions(connection))
    return [*twice[:10], *([] if billed == booked else [f"billed {billed} and booked {booked} pico-dollars"])]


def bill(simulator: Simulator) -> int:
    """The providers' bill in pico-dollars, batches at half the price."""
    return sum(_cost(line) // (2 if line.batch else 1) for line in simulator.bill())


def _cost(line: BillLine) -> int:
    uncached, cached, write, output = PRICES[line.provider]
    plain = line.input_tokens - line.cached_input_tokens - line.cache_write_tokens
    return (
        plain * uncached + line.cached_input_tokens * cached + line.cache_write_tokens * write
        + line.output_tokens * output
    )  # fmt: skip


def _seen(simulator: Simulator, connection: LedgerConnection, run: _Run) -> str:
    in_batches = sum(line.requests for line in simulator.bill() if line.batch)
    alone = sum(line.requests for line in simulator.bill() if not line.batch)
    return (
        f"{in_batches} lines answered in batches and {alone} by themselves, worker killed {run.kills} times, "
        f"billed ${bill(simulator) / 10**12:.6f}, booked "
        f"${sum(row.cost for row in completions(connection)) / 10**12:.6f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.batches")
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL of its own, thrown away afterwards")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        url = stack.enter_context(postgres_server()) if options.postgres else ""
        faults, seen = proof(Path(folder), lines=options.lines, database_url=url)
    print(f"{seen}, {time.monotonic() - began:.0f} s")
    for fault in faults:
        print(f"FAULT {fault}")
    print("balanced" if not faults else f"{len(faults)} faults")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
