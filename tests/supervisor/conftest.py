"""The supervisor as a program of its own, watched through its output."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 20.0


@dataclass
class Program:
    """A running supervisor. `until` reads its output up to a line; requests wait in the backlog for a worker."""

    process: subprocess.Popen[str]
    port: int
    printed: list[str] = field(default_factory=list)

    def until(self, text: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed.append(line)
            if text in line:
                return line
        raise AssertionError(f"ended without printing {text!r}:\n{''.join(self.printed)}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def until_draining(self) -> None:
        """Returns once the worker has heard of it: neither it nor the supervisor listens any more."""
        self.until("Stopping")
        try:
            while True:
                socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS).close()
        except ConnectionError:
            return

    def exit_status(self) -> int:
        out, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        self.printed.append(out)
        return self.process.returncode

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)

    def worker_pid(self) -> int:
        connection = self.connection()
        try:
            connection.request("GET", "/", headers={"connection": "close"})
            return int(connection.getresponse().read())
        finally:
            connection.close()


Start = Callable[..., Program]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts supervisors; whatever is left of them is killed afterwards (and their children die with them)."""
    programs: list[Program] = []

    def start_one(*, port: int | None = None, workers: int = 1, **environment: str) -> Program:
        port = port or free_port()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.supervisor.run", str(port), str(workers)],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        programs.append(Program(process, port))
        return programs[-1]

    yield start_one
    for program in programs:
        program.process.kill()
        program.process.communicate()


@pytest.fixture
def running(start: Start) -> Program:
    program = start()
    program.until("READY")
    return program
