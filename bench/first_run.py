"""`make first-run`: how long a newcomer waits for the README's first completion (docs/performance.md).

Clones what is committed of this checkout into a temporary folder, runs `make run` there with ports and a data directory
of its own, asks the README's first question with the key that was printed, stops it as Ctrl-C does, and starts and asks
again. pip installs from where it is set up to, without its cache; nothing else leaves the machine. The standard library
is all it needs. Exits with 1 when a time is over its line.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.lines import Line
from bench.machine import cpu_seconds, machine_text
from bench.program import Program
from tests.servers import free_port

ROOT = Path(__file__).resolve().parent.parent
READY = "Ctrl-C stops everything."
KEY = re.compile(r"API key +(sk-llmops-\S+)")
INSTALLED = Path(".venv/.installed")  # make touches it when everything is installed
QUESTION = {"model": "gpt-4-turbo", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
START_SECONDS = 1200.0  # more than any line: a slow network is to be measured, not to end the run
ANSWER_SECONDS = 60.0

FIRST = Line("first start to the first completion", "s", 180)
SECOND = Line("second start to a completion", "s", 5)

# What a newcomer's shell doesn't have: the settings of another installation, and what the make above us exports.
SETTINGS = ("LLMOPS_", "DJANGO_", "CELERY_", "OTEL_", "MAKE")
SETTING_NAMES = {
    *("DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "MFLAGS", "VIRTUAL_ENV", "PYTHONPATH"),
    *("VENV", "CONFIG", "HOST", "PORT", "SIMULATOR_PORT", "WORKERS"),
}


@dataclass(frozen=True, slots=True)
class Waited:
    """Seconds from `make run` to the answer; `installing_seconds` are part of the first.

    `second_cpu_seconds` is the CPU time of all processes until then, which depends less on what else the machine does.
    """

    first_seconds: float
    installing_seconds: float
    second_seconds: float
    second_cpu_seconds: float

    def table(self) -> str:
        rows = [
            ("", "seconds", "line", ""),
            _row(FIRST, self.first_seconds),
            ("  installing", f"{self.installing_seconds:.1f}", "", ""),
            ("  everything else", f"{self.first_seconds - self.installing_seconds:.1f}", "", ""),
            _row(SECOND, self.second_seconds),
            ("  CPU time of all processes", f"{self.second_cpu_seconds:.1f}", "", ""),
        ]
        return "\n".join(f"{what:<37}{figure:>8}{line:>6}  {verdict}".rstrip() for what, figure, line, verdict in rows)

    def in_time(self) -> bool:
        return self.first_seconds <= FIRST.must and self.second_seconds <= SECOND.must


def _row(line: Line, seconds: float) -> tuple[str, str, str, str]:
    return line.what, f"{seconds:.1f}", f"{line.must:g}", line.verdict(seconds)


class Newcomer:
    """A clone of `source` in `folder`, and somebody who types what the README says."""

    def __init__(self, source: Path, folder: Path) -> None:
        self._folder = folder
        self._checkout = folder / "checkout"
        self._port = free_port()
        self._environment = newcomers_environment(os.environ, folder / "data")
        ports = (f"PORT={self._port}", f"SIMULATOR_PORT={free_port()}")
        self._command = ("make", "--no-print-directory", "run", *ports)
        subprocess.run(["git", "clone", "--quiet", str(source), str(self._checkout)], check=True)

    def waits(self) -> Waited:
        began_at = time.time()
        with self._up("first") as first:
            key = printed_key(first.printed())
            self._ask(key)
            first_seconds = time.time() - began_at
        installing_seconds = (self._checkout / INSTALLED).stat().st_mtime - began_at
        began_at = time.time()
        with self._up("second") as second:
            self._ask(key)
            second_seconds = time.time() - began_at
            second_cpu_seconds = cpu_seconds(second.pid)
        return Waited(first_seconds, installing_seconds, second_seconds, second_cpu_seconds)

    @contextmanager
    def _up(self, name: str) -> Iterator[Program]:
        """Ready inside, ended by a Ctrl-C outside."""
        program = Program(
            self._command, self._folder / f"{name}.log", folder=self._checkout, environment=self._environment
        )
        try:
            program.wait_for(READY, START_SECONDS)
            yield program
        finally:
            program.stop(signal.SIGINT)

    def _ask(self, key: str) -> None:
        """Raises OSError for any answer but a good one."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/v1/chat/completions",
            json.dumps(QUESTION).encode(),
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with straight.open(request, timeout=ANSWER_SECONDS) as answer:
            if not json.load(answer)["choices"][0]["message"]["content"]:
                raise OSError("the first completion is empty")


def newcomers_environment(environment: Mapping[str, str], data_dir: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in environment.items()
        if name not in SETTING_NAMES and not name.startswith(SETTINGS)
    }
    return {**kept, "LLMOPS_DATA_DIR": str(data_dir), "PIP_NO_CACHE_DIR": "1"}


def printed_key(printed: str) -> str:
    found = KEY.search(printed)
    if found is None:
        raise RuntimeError("no API key was printed: is this a demonstration's first start?")
    return found[1]


def committed(source: Path) -> str:
    """What is measured, in words."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=source, capture_output=True, text=True, check=True).stdout.strip()

    left_out = "; uncommitted changes are not part of it" if git("status", "--porcelain") else ""
    return f"commit {git('rev-parse', '--short', 'HEAD')}{left_out}"


def main(source: Path = ROOT) -> int:
    argparse.ArgumentParser(
        prog="python -m bench.first_run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # tidied up as after a Ctrl-C
    print(f"{machine_text()}, load {os.getloadavg()[0]:.1f}\n{committed(source)}\n", flush=True)
    try:
        with tempfile.TemporaryDirectory(prefix="llmops-first-run-") as folder:
            waited = Newcomer(source, Path(folder)).waits()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        print(f"NOT GOOD: {error}")
        return 1
    print(waited.table())
    return int(not waited.in_time())


if __name__ == "__main__":
    sys.exit(main())
