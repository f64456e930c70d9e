"""`python -m bench.pages`: how long the back office's pages take over a million completions (docs/performance.md).

    python -m bench.pages [--completions 1000000] [--database-url postgres://…]

Fills an empty database (a SQLite file in a temporary folder, unless another is named) with thirty days of traffic, adds
it up by hour and by day, and times every page: the server's whole work for it, the median and the slowest of five.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

ROUNDS = 5
BOUND_MS = 300
PAGES = (
    "/",
    "/?period=7d&team=team-3",
    "/?period=30d",
    "/?period=month&model=gpt-4-turbo&route=route-1",
    "/dashboard/providers/",
    "/dashboard/service/",
    "/dashboard/figures/?period=1h",
    "/dashboard/figures/?period=30d",
    "/dashboard/recent/",
    "/spend/",
    "/spend/?period=7d&by=team",
    "/spend/?period=30d&by=model",
    "/spend/?period=30d&by=api_key&team=team-3",
    "/spend/table.csv?period=30d&by=api_key",
    "/providers/openai/",
    "/conversations/",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__.partition("\n")[0])
    parser.add_argument("--completions", type=int, default=1_000_000)
    parser.add_argument("--database-url", default="")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llmops-pages-") as folder:
        return run(Path(folder), arguments.completions, arguments.database_url)


def run(folder: Path, completions: int, database_url: str) -> int:
    """0 when every page keeps the bound; prints a table either way."""
    os.environ["LLMOPS_DATA_DIR"] = str(folder)
    os.environ["DATABASE_URL"] = database_url or f"sqlite:///{folder}/pages.sqlite3"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    filled = time.perf_counter()
    fill(completions)
    added_up = time.perf_counter()
    hours = add_up()
    done = time.perf_counter()
    print(
        f"{completions:,} completions in {added_up - filled:.0f} s; {hours} hours added up in {done - added_up:.0f} s\n"
    )
    print(f"{'page':<52} {'median ms':>10} {'slowest ms':>11} {'queries':>8}")
    slow = False
    for address, median_ms, slowest_ms, queries in timings():
        slow = slow or median_ms > BOUND_MS
        print(f"{address:<52} {median_ms:>10.0f} {slowest_ms:>11.0f} {queries:>8}")
    return int(slow)


def fill(completions: int) -> None:
    from bench.pages_rows import fill_database

    fill_database(completions)


def add_up() -> int:
    """As the worker does it, until nothing is left; how many hours that were."""
    from django.utils import timezone

    from gateway.services.rollups import rollups_refresh

    hours = 0
    while done := rollups_refresh(now=timezone.now()):
        hours += done
    return hours


def timings() -> Iterator[tuple[str, float, float, int]]:
    """Of each page: its address, median and slowest time, and its queries."""
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client

    settings.ALLOWED_HOSTS = ["testserver"]
    client = Client()
    client.force_login(User.objects.create_superuser(f"timer-{time.time_ns()}"))
    for address in PAGES:
        asked: list[str] = []
        with connection.execute_wrapper(partial(_note, asked)):
            response = client.get(address)
        if response.status_code != 200:
            raise SystemExit(f"{address} answered {response.status_code}")
        times_ms = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            client.get(address)
            times_ms.append(1000 * (time.perf_counter() - begun))
        yield address, statistics.median(times_ms), max(times_ms), len(asked)


def _note(asked: list[str], execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    asked.append(sql)
    return execute(sql, params, many, context)


if __name__ == "__main__":
    sys.exit(main())
