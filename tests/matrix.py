"""What depends on Python and on the servers an installation has: `python -m tests.matrix PYTHON …` (or `make matrix`).

Only what `make test` does not run already, since that has real Redis and PostgreSQL servers for the stores' and the
ledger's tests, on one Python. For each Python named:

- the cells (tests/cells): whole installations on SQLite and PostgreSQL, with and without Redis, and with RabbitMQ as
  the broker where there is one;
- on the Python that this runs on, the rooms that speak to the database through Django, on a PostgreSQL that all
  migrations have made;
- on any other, everything that runs in one process, on the databases and stores that `make test` has.

A Python that isn't on the machine is named as not run. Ends with 1 when something failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests import servers
from tests.cells.rabbitmq import NOT_RUN, rabbitmq_is_here
from tests.gateway_process import ROOT

# Admin, alerts and so on write and read through Django. The dashboard's recounts have both databases in `make test`.
ON_POSTGRESQL = ("models", "selectors", "services", "admin", "alerts", "api")
ON_ANOTHER_PYTHON = ("engine", "wires", "ledger", "stores", "providers", "simulator", *ON_POSTGRESQL, "dashboard")
# Whole gateways in processes of their own, with databases of their own: the cells are that.
PROCESSES = (
    "tests/services/test_backup.py",
    "tests/alerts/test_every_kind.py",
    "tests/alerts/test_whole_path.py",
    "tests/api/test_hostile_input.py",
    "tests/ledger/test_database_away.py",
)
WORKERS = ("-n", "2")
WITHOUT_PROCESSES = tuple(f"--ignore={path}" for path in PROCESSES)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`took_seconds` None: not run."""

    python: str
    what: str
    said: str
    took_seconds: float | None
    failed: bool = False

    def __str__(self) -> str:
        took = "" if self.took_seconds is None else f"{self.took_seconds:.0f} s"
        return f"{self.python:8} {self.what:40} {self.said:32} {took:>6}"


@dataclass(frozen=True, slots=True)
class Part:
    what: str
    arguments: tuple[str, ...]
    variables: Mapping[str, str]


def parts(postgres_url: str, *, another_python: bool) -> Iterator[Part]:
    by_cell, by_file = (*WORKERS, "--dist", "loadgroup"), (*WORKERS, "--dist", "loadfile", *WITHOUT_PROCESSES)
    if another_python:
        yield Part("everything in one process", (*by_file, "-m", "not alone", *_rooms(ON_ANOTHER_PYTHON)), {})
    else:
        # The server is thrown away, so nobody has to drop databases that idle connections hold.
        on_postgresql = (*by_file, "--reuse-db", "-m", "not sqlite and not alone", *_rooms(ON_POSTGRESQL))
        yield Part("Django's rooms on PostgreSQL", on_postgresql, {"LLMOPS_TESTS_ON": postgres_url})
    yield Part("whole installations, cell by cell", (*by_cell, "tests/cells"), {})


def _rooms(names: Sequence[str]) -> Iterator[str]:
    return (f"tests/{name}" for name in names)


def version(python: str) -> str:
    """Such as "3.13"; "" where there is no such Python."""
    told = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.run([python, "-c", told], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def with_its_packages(python: str, number: str) -> str:
    """The interpreter of an environment that has what the tests need: ours, or one that is made for it."""
    if number == version(sys.executable):
        return sys.executable
    folder = f".venv-python/{number}"
    make = ["make", "--no-print-directory", f"VENV={folder}", f"PYTHON={python}", f"{folder}/.installed-test"]
    subprocess.run(make, cwd=ROOT, check=True)
    return str(ROOT / folder / "bin" / "python")


def run(python: str, number: str, part: Part) -> Outcome:
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *part.arguments]
    began = time.monotonic()
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **part.variables}, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        said = ""
        for line in child.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            said = line.strip() or said
    return Outcome(number, part.what, said.partition(" in ")[0], time.monotonic() - began, failed=child.returncode != 0)


def matrix(pythons: Sequence[str]) -> Iterator[Outcome]:
    with servers.postgres_server() as postgres_url:
        for python in pythons:
            number = version(python)
            if not number:
                yield Outcome(python, "", "not run: there is no such Python here", None)
                continue
            able = with_its_packages(python, number)
            for part in parts(postgres_url, another_python=able != sys.executable):
                yield run(able, number, part)
    if not rabbitmq_is_here():
        yield Outcome("", "", NOT_RUN, None)


def main(pythons: list[str]) -> int:
    outcomes = list(matrix(pythons))
    sys.stdout.write("\n" + "\n".join(map(str, outcomes)) + "\n")
    return int(any(outcome.failed for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
