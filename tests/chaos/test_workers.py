"""`kill -9` of our own: a worker under `manage.py up --workers 2` while agents ask, and a process that probes.

Only in the long form: an orphan's lease has to expire.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from gateway.simulator.thread import SimulatorThread
from tests.chaos import half_open
from tests.chaos.books import budget_of_all, settled_books
from tests.chaos.clients import Kind, agents
from tests.chaos.fleet import fleet
from tests.chaos.meanwhile import AT_ONCE, PATIENCE_SECONDS, ask_while
from tests.gateway_process import ROOT, configuration, environment, provider
from tests.servers import free_port
from tests.supervisor.conftest import Program
from tests.supervisor.test_up import children_named

pytestmark = [pytest.mark.chaos, pytest.mark.alone, pytest.mark.redis]

# An orphan's lease (gateway/services/opening.py) with the times below, and the sweep's turn after it.
ORPHANS_SECONDS = 5 * 2 * 2 + 4 + 60 + 60.0
WORKER = b"gateway.supervisor.web"


@dataclass(frozen=True, slots=True)
class Installation:
    program: Program
    simulator: Simulator
    data_dir: Path

    def workers(self) -> set[int]:
        return set(children_named(self.program.process.pid, WORKER))

    def wait_for_another(self, before: set[int]) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.workers() - before:
            assert time.monotonic() < end, "no new worker has taken the killed one's place"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("up")
    with SimulatorThread() as simulator:
        document = configuration(simulator.url, budgets=[budget_of_all()])
        # An orphan's lease is as long as its request may take.
        times = {"attempt_timeout_seconds": 2, "first_token_timeout_seconds": 2, "stream_max_seconds": 4}
        paths = {"openai": "/openai/v1", "anthropic": "/anthropic"}
        document["providers"] = [provider(name, simulator.url + path, **times) for name, path in paths.items()]
        document["routes"] = [{**route, "deadline_seconds": 5} for route in document["routes"]]
        (folder / "up.yaml").write_text(json.dumps(document), encoding="utf-8")
        with up(folder) as program:
            program.until("Ctrl-C stops everything.")
            yield Installation(program, simulator, folder / "data")


@contextmanager
def up(folder: Path) -> Iterator[Program]:
    port = free_port()
    options = ("--port", str(port), "--workers", "2", "--no-simulator", "--config", str(folder / "up.yaml"))
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up", *options],
        cwd=ROOT,
        env={**environment(folder / "data"), "LLMOPS_ENV": "demo", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield Program(process, port)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_SECONDS)


async def test_a_killed_worker_costs_only_what_it_had_in_hand(installation: Installation, seed: int) -> None:
    """Those agents' connections break; every other is answered, and a new worker takes the dead one's place."""
    tag = installation.simulator.faults.add(Fault(kind=FaultKind.SLOW_TOKENS, seconds=0.01))
    before = installation.workers()

    async def killed() -> None:
        await asyncio.sleep(1.0)
        os.kill(min(before), signal.SIGKILL)
        await asyncio.to_thread(installation.wait_for_another, before)
        await asyncio.sleep(2.0)

    url = f"http://127.0.0.1:{installation.program.port}"
    results = await ask_while((url,), "default", seed, killed)
    installation.simulator.faults.remove(tag)
    lost = [result for result in results if result.kind is Kind.CONNECTION]
    assert {result.kind for result in results} <= {Kind.WHOLE, Kind.CONNECTION}
    assert 0 < len(lost) <= AT_ONCE
    books = await asyncio.to_thread(settled_books, installation.data_dir, ORPHANS_SECONDS)
    assert books.problems == []


async def test_a_killed_probers_fence_lets_one_more_through(tmp_path: Path) -> None:
    with fleet(tmp_path, half_open.document) as running:
        async with agents(running.urls, half_open.PATIENCE_SECONDS) as clients:
            made = await half_open.prober_killed(running, clients)
    assert made.problems == []
