"""A whole gateway whose database can't be written for a while, and one that is killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.simulator.server import Simulator
from gateway.simulator.thread import SimulatorThread
from tests.gateway_process import (
    AGENT_KEY,
    OTHER_TEAM_KEY,
    GatewayProcess,
    another_gateway,
    configuration,
    gateway_process,
)

HELLO = {"model": "openai-only", "messages": [{"role": "user", "content": "[[say: Hello.]]"}]}
BLOCKING = {"name": "sales", "scope": "team", "subject": "sales", "window": "total", "limit_usd": "5"}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with SimulatorThread() as simulator:
        yield simulator


@pytest.fixture
def document(simulator: Simulator) -> dict[str, Any]:
    simulator.reset()
    return configuration(simulator.url, budgets=[{**BLOCKING, "enforcement": "block"}])


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Somebody else holds the database's only write lock."""
    with closing(sqlite3.connect(data_dir / "llmops.sqlite3", isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        yield
        blocker.execute("ROLLBACK")


def ask(gateway: GatewayProcess, key: str = AGENT_KEY) -> tuple[int, dict[str, str], Any]:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "x-conversation-id": "c1"}
    request = urllib.request.Request(f"{gateway.url}/v1/chat/completions", json.dumps(HELLO).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, dict(reply.headers), json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), json.load(error)


def booked(data_dir: Path) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(data_dir / "llmops.sqlite3")) as books:
        return books.execute("SELECT status, cost_usd FROM llmops_completion ORDER BY created_at").fetchall()


def wait_until(true: Callable[[], bool]) -> None:
    """A fact that another process brings about; the wait ends with it."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def billed_pico_usd(simulator: Simulator) -> int:
    line = simulator.bill().line("openai", "gpt-4-turbo")
    usd = (Decimal(10) * line.input_tokens + Decimal(30) * line.output_tokens) / 1_000_000
    return int(usd.scaleb(12))


def test_requests_are_answered_while_the_database_is_locked_and_booked_afterwards(
    simulator: Simulator, document: dict[str, Any], tmp_path: Path
) -> None:
    with gateway_process(tmp_path, document) as gateway:
        with locked(gateway.data_dir):
            answers = [ask(gateway) for _ in range(3)]
            began = time.monotonic()
            refused, _, error = ask(gateway, OTHER_TEAM_KEY)
            refused_after_seconds = time.monotonic() - began
            ready, status = gateway.get("/readyz"), gateway.get("/api/status")["ledger"]
        wait_until(lambda: len(booked(gateway.data_dir)) == 4)
        wait_until(lambda: gateway.get("/api/status")["ledger"]["spool"]["records"] == 0)
        after = ask(gateway)

    assert [code for code, _, _ in answers] == [200, 200, 200]
    assert all("x-llmops-conversation-cost-usd" not in headers for _, headers, _ in answers)
    assert (refused, error["error"]["code"]) == (503, "ledger_unavailable")
    assert refused_after_seconds < 0.5
    assert (ready["status"], len(ready["degraded"])) == ("ready", 1)
    assert (status["healthy"], status["away"], status["spool"]["records"]) == (False, "database is locked", 6)
    assert "x-llmops-conversation-cost-usd" in after[1]
    rows = booked(tmp_path / "data")
    assert sorted(status for status, _ in rows) == ["answered"] * 4 + ["failed"]
    assert sum(cost for _, cost in rows) == billed_pico_usd(simulator)


def test_what_a_killed_gateway_had_spooled_is_booked_by_the_next_one(
    simulator: Simulator, document: dict[str, Any], tmp_path: Path
) -> None:
    with gateway_process(tmp_path, document) as gateway, locked(gateway.data_dir):
        assert ask(gateway)[0] == 200
        os.kill(gateway.pid, signal.SIGKILL)
        os.waitid(os.P_PID, gateway.pid, os.WEXITED | os.WNOWAIT)

    with another_gateway(tmp_path / "data", tmp_path / "next.log"):
        wait_until(lambda: [status for status, _ in booked(tmp_path / "data")] == ["answered"])

    assert [cost for _, cost in booked(tmp_path / "data")] == [billed_pico_usd(simulator)]
