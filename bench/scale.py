"""`python -m bench.scale`: gateway processes on one PostgreSQL and one Redis (docs/scaling.md).

    python -m bench.scale throughput [--processes 1,2,4,8]   requests per second, and what each part costs per request
    python -m bench.scale restarts   [--processes 8]         Redis and PostgreSQL restarted under load

Every request passes one global, one team and one conversation budget, all blocking, on rows that all processes share.
Afterwards the books must balance: nothing reserved, nothing pending, every total the sum of its rows, and in `restarts`
every request booked once, at what the simulator billed. Both servers are our own and are thrown away.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import uvloop

from bench import load
from bench.audit import bill_by_trace, completions, requests_disagreeing, sums_disagreeing
from bench.books import KEY, books, document
from bench.clients import Request, chat, send_all
from bench.fleet import fleet
from bench.machine import cpu_seconds, machine_text
from bench.servers import simulator_process
from gateway.simulator import Fault, FaultKind, SimulatorThread
from tests.chaos.fleet import Redis
from tests.servers import OwnPostgres, own_postgres

CONNECTIONS = 64
WARM_UP_REQUESTS = 200  # a process
CLIENTS = 50
AWAY_SECONDS = 2.0
RESTART_MARGIN_SECONDS = 3.0
TOTALS = [
    {"name": "team", "scope": "team", "subject": "books", "window": "day", "limit_usd": "100000"},
    {"name": "conversation", "scope": "conversation", "window": "total", "limit_usd": "100000"},
]
BUDGETS = [{**budget, "enforcement": "block"} for budget in TOTALS]


@dataclass(frozen=True, slots=True)
class Round:
    """What `processes` carried; CPU in milliseconds per request, by the part that used it."""

    processes: int
    per_second: float
    median_ms: float
    p99_ms: float
    connections: int  # to PostgreSQL, of all processes together
    cpu_ms: dict[str, float]

    def line(self) -> str:
        parts = "".join(f"{self.cpu_ms[name]:>12.2f}" for name in PARTS)
        figures = f"{self.processes:>9}{self.per_second:>11.0f}{self.median_ms:>11.1f}{self.p99_ms:>9.1f}"
        return f"{figures}{self.connections:>13}{parts}"


PARTS = ("gateways", "PostgreSQL", "Redis", "simulator", "clients")


@contextmanager
def setting(postgres: OwnPostgres, name: str) -> Iterator[tuple[Path, str, Redis]]:
    """A folder, the URL of an empty database, and a running Redis."""
    with tempfile.TemporaryDirectory() as folder:
        with psycopg.connect(postgres.url.replace("postgres://", "postgresql://"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        redis = Redis(Path(folder))
        redis.start()
        try:
            yield Path(folder), f"{postgres.url.rpartition('/')[0]}/{name}", redis
        finally:
            redis.stop()


# Throughput -----------------------------------------------------------------------------------------------------------


def throughput(postgres: OwnPostgres, processes: int, requests: int) -> tuple[Round, list[str]]:
    """Plain requests as fast as they are answered: figures, and faults of the books."""
    with (
        setting(postgres, f"throughput_{processes}") as (folder, url, redis),
        simulator_process(folder) as simulator,
    ):
        configuration = document(f"http://127.0.0.1:{simulator.port}", BUDGETS)
        with fleet(folder, configuration, processes=processes, database_url=url, redis_url=redis.url) as gateway:
            gateway.wait_until_all_serve()
            pids = {"PostgreSQL": [postgres.pid], "Redis": [redis.pid], "simulator": [simulator.pid]}
            measured = _measure(gateway.port, {"gateways": list(gateway.pids), **pids}, processes, requests)
            measured = replace(measured, connections=_connections(url))
            gateway.stop()
            with books(gateway.data_dir, url) as connection:
                return measured, sums_disagreeing(connection) + _unbooked(connection, requests)


def _connections(url: str) -> int:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(url.replace("postgres://", "postgresql://")) as connection:
        row = connection.execute(sql).fetchone()
    assert row is not None
    return int(row[0])


def _measure(port: int, pids: dict[str, list[int]], processes: int, requests: int) -> Round:
    def used() -> dict[str, float]:
        seconds = {part: sum(map(cpu_seconds, of_part)) for part, of_part in pids.items()}
        return {**seconds, "clients": time.process_time()}

    call = _call(port)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(load.run(call, requests=WARM_UP_REQUESTS * processes, connections=CONNECTIONS))
        before, began = used(), time.perf_counter()
        times = sorted(runner.run(load.run(call, requests=requests, connections=CONNECTIONS)))
        seconds, after = time.perf_counter() - began, used()
    cpu_ms = {part: (after[part] - before[part]) * 1000 / requests for part in after}
    p99_ms = times[int(len(times) * 0.99)] * 1000
    return Round(processes, requests / seconds, statistics.median(times) * 1000, p99_ms, 0, cpu_ms)


def _call(port: int) -> load.Call:
    body = json.dumps(chat("[[tokens: 12]] Say something.", model="openai-only")).encode()
    return load.post("127.0.0.1", port, "/v1/chat/completions", body, KEY, b'"usage"')


def _unbooked(connection: Any, requests: int) -> list[str]:
    booked = sum(row.status == "answered" for row in completions(connection))
    return [f"{requests} were answered, {booked} are in the books"] if booked < requests else []


# Restarts -------------------------------------------------------------------------------------------------------------


def restarts(postgres: OwnPostgres, processes: int, requests: int) -> tuple[str, list[str]]:
    """Redis and then PostgreSQL stop for two seconds and start again, under load: what was seen, and faults."""
    with setting(postgres, "restarts") as (folder, url, redis), SimulatorThread() as simulator:
        simulator.faults.add(Fault(kind=FaultKind.SLOW_FIRST_TOKEN, seconds=0.2))
        configuration = document(simulator.url, BUDGETS)
        with fleet(folder, configuration, processes=processes, database_url=url, redis_url=redis.url) as gateway:
            gateway.wait_until_all_serve()
            statuses = asyncio.run(_load_while(gateway.port, requests, redis, postgres))
            gateway.stop()
            simulator.log.wait_idle(30)
            with books(gateway.data_dir, url) as connection:
                booked = completions(connection)
                numbers = {_conversation(number): number for number in range(requests)}
                faults = requests_disagreeing(bill_by_trace(simulator.log.rows()), booked, numbers)
                faults += sums_disagreeing(connection)
    told = ", ".join(f"{count} x {status}" for status, count in sorted(Counter(statuses.values()).items()))
    faults += [f"{requests - len(statuses)} requests got no answer"] * (len(statuses) < requests)
    faults += [f"unexpected status {status}" for status in set(statuses.values()) - {200, 503}]
    return f"{processes} processes, {requests} requests: {told}; {len(booked)} booked", faults


async def _load_while(port: int, requests: int, redis: Redis, postgres: OwnPostgres) -> dict[int, int]:
    sending = asyncio.create_task(send_all(port, KEY, map(_alone, range(requests)), clients=CLIENTS))
    for stop, start in ((redis.kill, redis.start), (postgres.stop, postgres.start)):
        await asyncio.sleep(RESTART_MARGIN_SECONDS)
        await asyncio.to_thread(stop)
        await asyncio.sleep(AWAY_SECONDS)
        await asyncio.to_thread(start)
    if sending.done():
        raise RuntimeError(f"{requests} requests were over before the restarts were: ask for more with --requests")
    return await sending


def _alone(number: int) -> Request:
    return Request(number, _conversation(number), chat("[[tokens: 12]] Say it.", stream=number % 2 == 0))


def _conversation(number: int) -> str:
    return f"s-{number}"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bench.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("throughput", "restarts"))
    parser.add_argument("--processes", default="", help="such as 1,2,4,8")
    parser.add_argument("--requests", type=int, help="4,000 a measurement, 20,000 while servers restart")
    options = parser.parse_args()
    print(f"{machine_text()}\n", flush=True)
    with own_postgres() as postgres:
        if options.what == "restarts":
            seen, faults = restarts(postgres, int(options.processes or 8), options.requests or 20_000)
            print(seen)
        else:
            faults = _throughputs(postgres, options.processes or "1,2,4,8", options.requests or 4_000)
    print("The books balance." if not faults else "NOT BALANCED")
    for fault in faults[:20]:
        print(f"  {fault}")
    return int(bool(faults))


def _throughputs(postgres: OwnPostgres, processes: str, requests: int) -> list[str]:
    print(f"{'':53}CPU ms per request\nprocesses requests/s  median ms   p99 ms  connections", end="")
    print("".join(f"{part:>12}" for part in PARTS), flush=True)
    faults = []
    for number in map(int, processes.split(",")):
        measured, wrong = throughput(postgres, number, requests)
        print(measured.line(), flush=True)
        faults += wrong
    return faults


if __name__ == "__main__":
    sys.exit(main())
