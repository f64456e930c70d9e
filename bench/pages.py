"""`python -m bench.pages`: how long the back office's pages take over a million completions (docs/performance.md).

    python -m bench.pages [--completions 1000000] [--postgresql | --database-url postgres://…] [--filled] [--only TEXT]

Fills an empty database (a SQLite file in a temporary folder, a PostgreSQL of its own, or the one that is named) with
thirty days of traffic, adds it up by hour and by day, and times every page: the server's whole work for it, the median
and the slowest of five, this process's CPU time, and that of PostgreSQL where it runs on this machine (SQLite's is in
the process's). `--filled` takes the database as an earlier run left it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROUNDS = 5
BOUND_MS = 300


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__.partition("\n")[0])
    parser.add_argument("--completions", type=int, default=1_000_000)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--database-url", default="")
    where.add_argument("--postgresql", action="store_true", help="a PostgreSQL of its own, thrown away at the end")
    parser.add_argument("--filled", action="store_true", help="the database has been filled by an earlier run")
    parser.add_argument("--only", default="", help="a part of the addresses to time")
    arguments = parser.parse_args()
    if arguments.filled and not arguments.database_url:
        parser.error("--filled needs --database-url: without one the database is new and empty")
    with tempfile.TemporaryDirectory(prefix="llmops-pages-") as folder, ExitStack() as servers:
        database_url = arguments.database_url
        if arguments.postgresql:
            from tests.servers import postgres_server

            database_url = servers.enter_context(postgres_server())
        _settle(Path(folder), database_url)
        if not arguments.filled:
            prepare(arguments.completions)
        return table(arguments.only)


def _settle(folder: Path, database_url: str) -> None:
    """Django, on that database, migrated."""
    os.environ["LLMOPS_DATA_DIR"] = str(folder)
    os.environ["DATABASE_URL"] = database_url or f"sqlite:///{folder}/pages.sqlite3"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def prepare(completions: int) -> None:
    from bench.pages_kinds import fill_kinds
    from bench.pages_rows import analyze, fill_database

    begun = time.perf_counter()
    fill_database(completions)
    fill_kinds()
    print(f"{completions:,} completions in {time.perf_counter() - begun:.0f} s")
    begun, cpu = time.perf_counter(), time.process_time()
    hours = add_up()
    analyze(vacuum=True)
    wall_seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu
    print(f"{hours} hours added up in {wall_seconds:.0f} s, {cpu_seconds:.0f} s of them CPU of this process\n")


def table(only: str) -> int:
    """0 when every page keeps the bound; prints a table either way."""
    print(f"{'median ms':>9} {'slowest ms':>10} {'CPU ms':>7} {'database':>8} {'queries':>7}  address")
    slow = 0
    for row in timings(only):
        slow += row.median_ms > BOUND_MS
        print(
            f"{row.median_ms:>9.0f} {row.slowest_ms:>10.0f} {row.cpu_ms:>7.0f} {row.database_cpu_ms:>8.0f} "
            f"{row.queries:>7}  {row.address}",
            flush=True,
        )
    print(f"\n{slow} over {BOUND_MS} ms")
    return int(slow > 0)


def add_up() -> int:
    """As the worker does it, until nothing is left; how many hours that were."""
    from django.utils import timezone

    from gateway.services.rollups import rollups_refresh

    hours = 0
    while done := rollups_refresh(now=timezone.now()):
        hours += done
    return hours


@dataclass(frozen=True, slots=True)
class Timing:
    """Median and slowest wall time, the median of this process's CPU time, and the mean of a local PostgreSQL's."""

    address: str
    median_ms: float
    slowest_ms: float
    cpu_ms: float
    database_cpu_ms: float
    queries: int


def timings(only: str) -> Iterator[Timing]:
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.test import Client

    from bench.pages_addresses import addresses

    settings.ALLOWED_HOSTS = ["testserver"]
    client = Client(headers={"Host": "testserver"})
    client.force_login(User.objects.create_superuser(f"timer-{time.time_ns()}"))
    for address in addresses():
        if only in address:
            yield _timing(client, address)


def _timing(client: Any, address: str) -> Timing:
    from django.db import connection

    asked: list[str] = []
    with connection.execute_wrapper(partial(_note, asked)):
        response = client.get(address)
        _first_bytes(response)
    if response.status_code not in (200, 302):  # the only row of its kind is its own list
        raise SystemExit(f"{address} answered {response.status_code}")
    database = _database_cpu_seconds()
    rounds = [_once(client, address) for _ in range(ROUNDS)]
    database_ms = 1000 * (_database_cpu_seconds() - database) / ROUNDS
    times_ms, cpu_ms = zip(*rounds, strict=True)
    cpu = statistics.median(cpu_ms)
    return Timing(address, statistics.median(times_ms), max(times_ms), cpu, database_ms, len(asked))


def _database_cpu_seconds() -> float:
    """What PostgreSQL has used, all of its processes on this machine together; 0 for others."""
    from django.db import connection

    from bench.machine import cpu_seconds, parent_of

    if connection.vendor != "postgresql" or connection.settings_dict["HOST"] not in ("127.0.0.1", "localhost"):
        return 0.0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cpu_seconds(parent_of(cursor.fetchone()[0]))


def _once(client: Any, address: str) -> tuple[float, float]:
    begun, cpu = time.perf_counter(), time.process_time()
    _first_bytes(client.get(address))
    return 1000 * (time.perf_counter() - begun), 1000 * (time.process_time() - cpu)


def _first_bytes(response: Any) -> None:
    """Of a download that is sent as it is made, only its beginning is waited for."""
    if response.streaming:
        next(iter(response.streaming_content))
        response.close()


def _note(asked: list[str], execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    asked.append(sql)
    return execute(sql, params, many, context)


if __name__ == "__main__":
    sys.exit(main())
