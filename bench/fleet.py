"""Several gateway processes on one socket and one database, which may be killed and started again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 90.0
STOP_SECONDS = 20.0


class Fleet:
    """`database_url` "" is SQLite in the folder, `redis_url` "" is none. All processes accept on `port`."""

    def __init__(self, folder: Path, listener: socket.socket, database_url: str, redis_url: str = "") -> None:
        self.port = int(listener.getsockname()[1])
        self.data_dir = folder / "data"
        self._folder = folder
        self._listener = listener
        servers = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "CELERY_BROKER_URL": ""}
        self.environment = {**os.environ, **servers, "LLMOPS_DATA_DIR": str(self.data_dir), "LLMOPS_ENV": "demo"}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._started = 0

    def configure(self, document: Mapping[str, Any]) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        file = self._folder / "books.yaml"
        file.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML
        for arguments in (("migrate", "--verbosity", "0", "--skip-checks"), ("apply", str(file), "--skip-checks")):
            self.manage(*arguments)

    def manage(self, *arguments: str) -> str:
        command = (sys.executable, "manage.py", *arguments)
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        return done.stdout

    def start(self, processes: int) -> None:
        """So many more; the first one is waited for."""
        descriptor = self._listener.fileno()
        command = (sys.executable, "-m", "gateway.supervisor.web", "--fd", str(descriptor))
        for _ in range(processes):
            self._started += 1
            with (self._folder / f"gateway-{self._started}.log").open("wb") as log:
                process = subprocess.Popen(
                    command, cwd=ROOT, env=self.environment, pass_fds=[descriptor], stdout=log, stderr=log
                )
            self._processes.append(process)
        self._wait_until_ready()

    def wait_until_all_serve(self) -> None:
        """Not only the first: each has told its log that a configuration is live."""
        end = time.monotonic() + READY_SECONDS
        waiting = {self._folder / f"gateway-{number}.log" for number in range(1, self._started + 1)}
        while waiting := {log for log in waiting if "is live" not in log.read_text(errors="replace")}:
            if time.monotonic() > end:
                raise RuntimeError(f"{len(waiting)} gateways did not get ready")
            time.sleep(0.05)

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(process.pid for process in self._processes)

    def kill_one(self) -> None:
        """`kill -9` of the oldest process."""
        victim = self._processes.pop(0)
        victim.send_signal(signal.SIGKILL)
        victim.wait()

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes = []

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        logs = "\n".join(log.read_text(errors="replace")[-1000:] for log in self._folder.glob("gateway-*.log"))
        raise RuntimeError(f"no gateway got ready:\n{logs}")


@contextmanager
def unconfigured_fleet(folder: Path, *, database_url: str = "", redis_url: str = "") -> Iterator[Fleet]:
    """Without tables or configuration, and no process started; whatever was started is stopped."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        listener.set_inheritable(True)
        made = Fleet(folder, listener, database_url, redis_url)
        try:
            yield made
        finally:
            made.stop()


@contextmanager
def fleet(
    folder: Path, document: Mapping[str, Any], *, processes: int, database_url: str = "", redis_url: str = ""
) -> Iterator[Fleet]:
    with unconfigured_fleet(folder, database_url=database_url, redis_url=redis_url) as made:
        made.configure(document)
        made.start(processes)
        yield made
