"""`manage.py up --workers 2` where nobody has set up a Redis: it starts one of its own."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.simulator import SimulatorThread
from tests.supervisor.conftest import Program
from tests.supervisor.test_up import Installation, children_named, installed

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with SimulatorThread() as simulator, installed(tmp_path_factory.mktemp("up"), simulator.url) as made:
        yield made


@pytest.fixture(scope="module")
def started(installation: Installation) -> Program:
    program = installation.up("--workers", "2")
    program.until("Ctrl-C stops everything.")
    return program


def test_two_workers_share_a_redis_that_only_this_account_can_reach(
    started: Program, installation: Installation
) -> None:
    assert len(children_named(started.process.pid, b"gateway.supervisor.web")) == 2
    assert readiness(started)["redis"] == "connected"
    socket = installation.folder / "data" / "redis.sock"
    assert socket.stat().st_mode & 0o777 == 0o600


def test_a_redis_that_is_killed_comes_back_while_requests_carry_on(started: Program) -> None:
    (server,) = children_named(started.process.pid, b"redis-server")
    os.kill(server, signal.SIGKILL)
    started.until("Redis ended")
    assert readiness(started)["status"] == "ready"
    started.until("Redis is back")


def test_everything_ends_with_it(started: Program) -> None:
    children = [Path(f"/proc/{pid}") for pid in children_named(started.process.pid, b"")]
    started.send(signal.SIGTERM)
    assert started.exit_status() == 0
    assert not any(child.exists() for child in children)


def readiness(program: Program) -> dict[str, object]:
    with urllib.request.urlopen(f"http://127.0.0.1:{program.port}/readyz", timeout=20) as answer:
        document: dict[str, object] = json.load(answer)
    return document
