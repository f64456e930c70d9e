"""`python -m bench.first_run`: from a fresh clone to the first answered completion as the README has it, and once more.

Clones what is committed here into a temporary folder, runs `make run` there and asks, with the key that it prints,
until the answer comes. Then Ctrl-C, `make run` again, and the same. Needs what a newcomer needs: Python, make, git, a
network to install from, and the simulator's port free. Exits with 1 when a line is missed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.lines import FIRST_COMPLETION, SECOND_START
from bench.machine import machine_text
from bench.servers import free_port

ROOT = Path(__file__).resolve().parent.parent
GIVE_UP_SECONDS = 900.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.02
KEY = re.compile(r"sk-llmops-[\w-]+")
BODY = {"model": "gpt-4-turbo", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
# What would make it another than a newcomer's: this process's own environment and settings.
FOREIGN = ("LLMOPS_", "VIRTUAL_ENV", "DATABASE_URL", "REDIS_URL", "CELERY_", "DJANGO_", "PYTHON", "MAKE", "MFLAGS")


@dataclass(frozen=True, slots=True)
class Start:
    """One `make run`: `seconds` until a completion was answered, `installed_seconds` until everything was installed."""

    seconds: float
    installed_seconds: float
    key: str


def main() -> int:
    print(f"{machine_text()}\n")
    with tempfile.TemporaryDirectory(prefix="llmops-first-run-") as name:
        folder = Path(name) / "llmops"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)], check=True)
        port = free_port()
        first = start(folder, port)
        second = start(folder, port, first.key)
    verdicts = [FIRST_COMPLETION.verdict(first.seconds), SECOND_START.verdict(second.seconds)]
    print(f"first `make run`, to a completion  {first.seconds:6.1f} s (must {FIRST_COMPLETION.must:g}): {verdicts[0]}")
    print(f"  of them installing               {first.installed_seconds:6.1f} s")
    print(f"second `make run`, to a completion {second.seconds:6.1f} s (must {SECOND_START.must:g}): {verdicts[1]}")
    return int("FAIL" in verdicts)


def start(folder: Path, port: int, key: str = "") -> Start:
    """`make run` until a completion is answered, then Ctrl-C. Without a `key` it is taken from what is printed."""
    log = folder.parent / "make-run.log"
    began, began_at = time.monotonic(), time.time()
    with _make_run(folder, port, log) as running:
        while not (answered := bool(key) and _answered(port, key)):
            key = key or _printed_key(log)
            if running.poll() is not None or time.monotonic() - began > GIVE_UP_SECONDS:
                break
            time.sleep(POLL_SECONDS)
        seconds = time.monotonic() - began
    if not answered:
        raise SystemExit(f"`make run` gave no completion in {seconds:.0f} s:\n{log.read_text()[-3000:]}")
    return Start(seconds, max(0.0, (folder / ".venv/.installed").stat().st_mtime - began_at), key)


@contextmanager
def _make_run(folder: Path, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """In a process group of its own, which gets the Ctrl-C of a terminal at the end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    with log.open("wb") as output:
        running = subprocess.Popen(
            ["make", "run", f"PORT={port}"], cwd=folder, env=environment, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield running
    finally:
        _interrupt(running)


def _interrupt(running: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(running.pid, number)
        with suppress(subprocess.TimeoutExpired):
            running.wait(STOP_SECONDS)
            return


def _printed_key(log: Path) -> str:
    """The demonstration's key, once the line that shows it is whole."""
    shown = KEY.search(log.read_text(errors="replace").rpartition("\n")[0])
    return shown[0] if shown else ""


def _answered(port: int, key: str) -> bool:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(BODY).encode())
    request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310  our own loopback address
            return bool(json.load(reply)["choices"])
    except urllib.error.HTTPError as refused:
        if refused.code < 500:
            raise
        return False
    except OSError:  # not there yet
        return False


if __name__ == "__main__":
    raise SystemExit(main())
