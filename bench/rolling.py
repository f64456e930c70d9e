"""`python -m bench.rolling`: gateway processes are replaced one by one under load, and nobody notices (docs/deploy.md).

`manage.py up --workers N` on a PostgreSQL and a Redis of its own (`--sqlite`: on SQLite), official openai clients that
ask plain and streamed over connections they keep and **never retry**, and SIGHUP to `up` so many times. Afterwards
every request must have its whole answer, every process must be another one, and the books must balance: each request
booked once, at what the simulator billed, every total the sum of its rows, nothing reserved or pending.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import openai
import psycopg
from openai import AsyncOpenAI

from bench.audit import bill_by_trace, completions, requests_disagreeing, sums_disagreeing
from bench.books import KEY, books, document
from bench.clients import trace_of
from bench.machine import machine_text
from bench.program import Program
from bench.scale import BUDGETS
from gateway.simulator import Fault, FaultKind, SimulatorThread
from gateway.simulator.server import Simulator
from tests.chaos.fleet import Redis
from tests.servers import free_port, own_postgres

ROOT = Path(__file__).resolve().parent.parent
READY, REPLACED = "Ctrl-C stops everything.", "Every gateway worker has been replaced."
READY_SECONDS = 120.0
REPLACED_SECONDS = 300.0
# A stream of STREAM_TOKENS lasts longer than a process takes to give its place over, so each replacement meets some.
STREAM_TOKENS, PLAIN_TOKENS = 40, 10
SECONDS_PER_TOKEN = 0.05
CALM_SECONDS = 1.0  # load before the first, between and after the restarts
MOST_TOKENS = 64
ANSWER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Servers:
    """`database_url` "" is SQLite in the data directory."""

    database_url: str = ""
    redis_url: str = ""


class Up:
    """`manage.py up` as a process."""

    def __init__(self, folder: Path, servers: Servers, simulator_url: str, workers: int) -> None:
        self.port = free_port()
        self.data_dir = folder / "data"
        config = folder / "rolling.yaml"
        config.write_text(json.dumps(document(simulator_url, BUDGETS)), encoding="utf-8")  # JSON is YAML
        options = ("--port", str(self.port), "--workers", str(workers), "--config", str(config))
        variables = {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url, "CELERY_BROKER_URL": ""}
        self._program = Program(
            [sys.executable, "manage.py", "up", "--no-simulator", "--no-tasks", *options],
            folder / "up.log",
            folder=ROOT,
            environment={**os.environ, **variables, "LLMOPS_DATA_DIR": str(self.data_dir), "LLMOPS_ENV": "demo"},
        )

    def until_ready(self) -> None:
        self._program.wait_for(READY, READY_SECONDS)

    def workers(self) -> set[int]:
        """The gateway processes."""
        found = set()
        for task in Path(f"/proc/{self._program.pid}/task").glob("*/children"):
            for child in task.read_text().split():
                if b"gateway.supervisor.web" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.add(int(child))
        return found

    def replace_workers(self, number: int) -> None:
        """The `number`th time, counted from 1; returns when all are others."""
        self._program.send(signal.SIGHUP)
        self._program.wait_for(REPLACED, REPLACED_SECONDS, times=number)

    def stop(self) -> None:
        self._program.stop()


@contextmanager
def up(folder: Path, servers: Servers, simulator_url: str, workers: int) -> Iterator[Up]:
    made = Up(folder, servers, simulator_url, workers)
    try:
        made.until_ready()
        yield made
    finally:
        made.stop()


@dataclass(slots=True)
class Seen:
    """What the clients were given: whole answers by kind, and each failure in words."""

    sent: int = 0
    whole: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    by_restart: list[float] = field(default_factory=list)  # seconds each one took

    def text(self) -> str:
        took = ", ".join(f"{seconds:.1f} s" for seconds in self.by_restart)
        failed = ", ".join(f"{count} x {what}" for what, count in self.failures.most_common(5)) or "none"
        return (
            f"{len(self.by_restart)} rolling restarts ({took}), {self.sent} requests: {self.whole['plain']} plain and "
            f"{self.whole['streamed']} streamed answered whole; failed: {failed}"
        )


class Agents:
    """Official clients that ask on, without retries, until told to end."""

    def __init__(self, port: int, seen: Seen) -> None:
        self._client = AsyncOpenAI(
            base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY, max_retries=0, timeout=ANSWER_SECONDS
        )
        self._seen = seen
        self._ended = False

    @asynccontextmanager
    async def asking(self, clients: int) -> AsyncIterator[None]:
        """Half of them plain, half streamed; left when each has its last answer."""
        async with self._client, asyncio.TaskGroup() as tasks:
            for index in range(clients):
                tasks.create_task(self._ask_on(streamed=index % 2 == 1))
            try:
                yield
            finally:
                self._ended = True

    async def _ask_on(self, *, streamed: bool) -> None:
        while not self._ended:
            number = self._seen.sent
            self._seen.sent += 1
            kind = "streamed" if streamed else "plain"
            try:
                whole = await (self._streamed(number) if streamed else self._plain(number))
            except openai.OpenAIError as error:
                cause = f" ({error.__cause__!r})" if error.__cause__ is not None else ""
                self._seen.failures[f"{kind}: {error!r}{cause}"] += 1
            else:
                if whole:
                    self._seen.whole[kind] += 1
                else:
                    self._seen.failures[f"{kind}: cut"] += 1

    async def _plain(self, number: int) -> bool:
        answer = await self._client.chat.completions.create(
            model="openai-only",
            messages=[{"role": "user", "content": f"[[tokens: {PLAIN_TOKENS}]]"}],
            max_tokens=MOST_TOKENS,
            extra_headers=_headers(number),
        )
        return answer.choices[0].finish_reason == "stop" and answer.usage is not None

    async def _streamed(self, number: int) -> bool:
        stream = await self._client.chat.completions.create(
            model="openai-only",
            messages=[{"role": "user", "content": f"[[tokens: {STREAM_TOKENS}]]"}],
            max_tokens=MOST_TOKENS,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers=_headers(number),
        )
        finished = counted = False
        async for chunk in stream:
            finished = finished or bool(chunk.choices and chunk.choices[0].finish_reason == "stop")
            counted = counted or chunk.usage is not None
        return finished and counted


def _headers(number: int) -> dict[str, str]:
    return {"X-Conversation-Id": _conversation(number), "traceparent": trace_of(number)}


def _conversation(number: int) -> str:
    return f"r-{number}"


async def _load(running: Up, clients: int, restarts: int, seen: Seen) -> None:
    async with Agents(running.port, seen).asking(clients):
        await asyncio.sleep(CALM_SECONDS)
        for number in range(1, restarts + 1):
            began = time.monotonic()
            await asyncio.to_thread(running.replace_workers, number)
            seen.by_restart.append(time.monotonic() - began)
            await asyncio.sleep(CALM_SECONDS)


def rolling(
    folder: Path, servers: Servers, *, workers: int, clients: int, restarts: int
) -> tuple[Seen, int, list[str]]:
    """What clients saw, how many requests are booked, and faults."""
    seen = Seen()
    with SimulatorThread() as simulator:
        simulator.faults.add(Fault(kind=FaultKind.SLOW_TOKENS, seconds=SECONDS_PER_TOKEN))
        with up(folder, servers, simulator.url, workers) as running:
            before = running.workers()
            asyncio.run(_load(running, clients, restarts, seen))
            kept = before & running.workers()
            running.stop()
        booked, faults = _audited(simulator, running.data_dir, servers.database_url, seen.sent)
    faults += [f"failed: {count} x {what}" for what, count in seen.failures.items()]
    faults += [f"process {pid} was not replaced" for pid in kept]
    return seen, booked, faults


def _audited(simulator: Simulator, data_dir: Path, database_url: str, sent: int) -> tuple[int, list[str]]:
    simulator.log.wait_idle(30)
    with books(data_dir, database_url) as connection:
        booked = completions(connection)
        numbers = {_conversation(number): number for number in range(sent)}
        faults = requests_disagreeing(bill_by_trace(simulator.log.rows()), booked, numbers)
        faults += sums_disagreeing(connection)
    return len(booked), faults + [f"{sent} were sent, {len(booked)} are booked"] * (len(booked) != sent)


@contextmanager
def own_servers(folder: Path) -> Iterator[Servers]:
    """A PostgreSQL with an empty database and a Redis, thrown away afterwards."""
    with ExitStack() as stack:
        postgres = stack.enter_context(own_postgres())
        with psycopg.connect(postgres.url.replace("postgres://", "postgresql://"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE rolling")
        redis = Redis(folder)
        redis.start()
        stack.callback(redis.stop)
        yield Servers(f"{postgres.url.rpartition('/')[0]}/rolling", redis.url)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bench.rolling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--clients", type=int, default=40, help="half of them plain, half streamed")
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--sqlite", action="store_true", help="on SQLite, with the private Redis of `up`")
    options = parser.parse_args()
    print(f"{machine_text()}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="llmops-rolling-") as name, ExitStack() as stack:
        folder = Path(name)
        servers = Servers() if options.sqlite else stack.enter_context(own_servers(folder))
        seen, booked, faults = rolling(
            folder, servers, workers=options.workers, clients=options.clients, restarts=options.restarts
        )
    print(f"{options.workers} processes, {seen.text()}; {booked} booked.")
    print("No request failed and the books balance." if not faults else "NOT GOOD")
    for fault in faults[:20]:
        print(f"  {fault}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
