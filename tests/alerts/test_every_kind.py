"""Every kind of event, brought about by what really happens to a gateway and its simulated providers.

One gateway has one bad day. After each trouble everything is evaluated again and again, at times of our choosing; what
arrives at the channel, and what was open meanwhile, is kept for the tests.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.engine.catalogue import model_traits
from gateway.engine.words import Wire
from gateway.models.words import AlertEvent
from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from gateway.simulator.thread import SimulatorThread
from tests.alerts.conftest import Receiver, receiving
from tests.gateway_process import (
    AGENT_KEY,
    OTHER_TEAM_KEY,
    ROOT,
    GatewayProcess,
    another_gateway,
    configuration,
    environment,
    make_tables,
    provider,
    run_apply,
)

PATIENCE_SECONDS = 30.0
TIMES_EVALUATED = 2
# Does what the worker's tasks do, at the times it is told; a line without a time drains what dead processes spooled.
SWEEPER = """
import sys
from datetime import datetime
from gateway.alerts.channel import channel_send
from gateway.alerts.outbox import deliveries_send
from gateway.alerts.sweep import alerts_derive
from gateway.tasks import orphans_sweep
for line in sys.stdin:
    if line.strip():
        now = datetime.fromisoformat(line.strip())
        alerts_derive(now=now)
        while deliveries_send(now=now, send=channel_send): pass
    else:
        orphans_sweep()
    print("done", flush=True)
"""
TOLD = {
    "breaker_opened": ["openai"],
    "breaker_closed": ["openai"],
    "budget_threshold": [f"small (research): {percent} %" for percent in (50, 80, 100)],
    "budget_blocked": ["none (sales)"],
    "provider_auth_failed": ["anthropic"],
    "provider_quota_exhausted": ["openai"],
    "objective_missed": ["availability (24 hours)", "availability (30 days)"],
    "objective_recovered": ["availability (24 hours)", "availability (30 days)"],
    "fallback_rate_high": ["fallbacks"],
    "ledger_spool": None,  # the machine's name
    "drill_finished": ["drill 1 (openai)"],
    "model_retiring": ["openai/gpt-4-turbo"] * 2,  # 30 and 7 days before
}
OVER_AT_ONCE = {AlertEvent.BREAKER_CLOSED, AlertEvent.OBJECTIVE_RECOVERED, AlertEvent.DRILL_FINISHED}
BUDGETS = [
    {"name": "small", "scope": "team", "subject": "research", "window": "total", "limit_usd": "0.000001"},
    {"name": "none", "scope": "team", "subject": "sales", "window": "total", "limit_usd": "0.000001"},
]


@dataclass
class Day:
    """What the channel heard, in order; kinds that were open at some time; what is open at the end."""

    titles: list[str]
    open_meanwhile: set[str] = field(default_factory=set)
    open_at_the_end: set[str] = field(default_factory=set)

    def heard(self, kind: str) -> list[str]:
        return [title.removeprefix(f"{kind}: ") for title in self.titles if title.startswith(f"{kind}: ")]


@dataclass(frozen=True, slots=True)
class Sweeper:
    process: subprocess.Popen[str]
    data_dir: Path
    day: Day

    def drain(self) -> None:
        self._say("")

    def look(self, now: datetime) -> None:
        """Evaluates everything several times, within a minute and over the next."""
        for minute in range(TIMES_EVALUATED):
            self._say((now + timedelta(minutes=minute)).isoformat())
            self._say((now + timedelta(minutes=minute, seconds=1)).isoformat())
        self.day.open_meanwhile |= self.open_kinds()

    def open_kinds(self) -> set[str]:
        return {kind for (kind,) in rows(self.data_dir, "SELECT kind FROM llmops_alert WHERE closed_at IS NULL")}

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"


@contextmanager
def sweeper(data_dir: Path, day: Day) -> Iterator[Sweeper]:
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", SWEEPER]
    pipe: Any = subprocess.PIPE
    options = {"cwd": ROOT, "env": environment(data_dir), "text": True, "stdin": pipe, "stdout": pipe}
    with subprocess.Popen(command, **options) as process:
        yield Sweeper(process, data_dir, day)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(PATIENCE_SECONDS) == 0


def rows(data_dir: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(data_dir / "llmops.sqlite3")) as database:
        return database.execute(statement).fetchall()


def until(condition: Callable[[], bool]) -> None:
    """Waits for a fact that another process brings about."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ask(gateway: GatewayProcess, model: str = "default", key: str = AGENT_KEY) -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "[[say: Yes.]]"}]}
    headers = {"authorization": f"Bearer {key}"}
    return httpx2.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers)


def until_booked(gateway: GatewayProcess) -> None:
    pending = "SELECT 1 FROM llmops_completion WHERE status = 'pending'"
    until(lambda: gateway.get("/api/status")["ledger"]["queue_depth"] == 0 and not rows(gateway.data_dir, pending))


@contextmanager
def broken(simulator: Simulator, name: str, **fault: Any) -> Iterator[None]:
    added = simulator.faults.add(Fault(kind=FaultKind.STATUS, provider=name, **fault))
    yield
    simulator.faults.remove(added)


def installation(folder: Path, simulator: Simulator, receiver: Receiver) -> Path:
    breaker = {"failure_threshold": 5, "cooldown_seconds": 1}
    document = configuration(
        simulator.url,
        providers=[
            provider("openai", f"{simulator.url}/openai/v1", breaker=breaker),
            provider("anthropic", f"{simulator.url}/anthropic"),
        ],
        budgets=[{**BUDGETS[0], "enforcement": "alert"}, BUDGETS[1]],
        alert_channels=[{"name": "ops", "url": receiver.url}],
        alerts={"alert_minimum_completions": 5, "alert_minimum_failures": 1},
    )
    make_tables(folder)
    run_apply(folder, document)
    return folder


def outage_of_the_first_target(gateway: GatewayProcess, simulator: Simulator, look: Callable[[], None]) -> None:
    opened = "SELECT 1 FROM llmops_breaker_transition WHERE to_state = 'open'"
    closed = "SELECT 1 FROM llmops_breaker_transition WHERE to_state = 'closed'"
    with broken(simulator, "openai", status=503):
        assert [ask(gateway).status_code for _ in range(6)] == [200] * 6
        until(lambda: bool(rows(gateway.data_dir, opened)))
        until_booked(gateway)
        look()
    until(lambda: ask(gateway).headers["x-llmops-provider"] == "openai")
    until(lambda: bool(rows(gateway.data_dir, closed)))


def accounts_rejected(gateway: GatewayProcess, simulator: Simulator) -> None:
    with (
        broken(simulator, "anthropic", status=401),
        broken(simulator, "openai", status=429, error_type="insufficient_quota"),
    ):
        models = ("anthropic-only", "openai-only") * 2
        assert {ask(gateway, model).is_success for model in models} == {False}


def drill(gateway: GatewayProcess) -> None:
    fault = {"provider": "openai", "fault": "503", "share_percent": 100, "duration_seconds": 600}
    started = gateway.post("/api/drills", fault)
    ask(gateway)
    gateway.post(f"/api/drills/{started['id']}/stop", {})


def killed_while_the_database_is_locked(gateway: GatewayProcess) -> None:
    with closing(sqlite3.connect(gateway.data_dir / "llmops.sqlite3", isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        assert ask(gateway).status_code == 200
        os.kill(gateway.pid, signal.SIGKILL)
        os.waitid(os.P_PID, gateway.pid, os.WEXITED | os.WNOWAIT)
        blocker.execute("ROLLBACK")


def live_through(gateway: GatewayProcess, simulator: Simulator, sweeper: Sweeper) -> None:
    began = datetime.now(UTC)
    outage_of_the_first_target(gateway, simulator, lambda: sweeper.look(began + timedelta(minutes=1)))
    assert ask(gateway, key=OTHER_TEAM_KEY).status_code == 429
    accounts_rejected(gateway, simulator)
    until_booked(gateway)
    sweeper.look(began + timedelta(minutes=4))
    assert [ask(gateway, model).status_code for model in ("anthropic-only", "openai-only")] == [200, 200]
    drill(gateway)
    until_booked(gateway)
    sweeper.look(began + timedelta(minutes=7))
    killed_while_the_database_is_locked(gateway)
    sweeper.look(began + timedelta(minutes=10))
    sweeper.drain()
    for later in (timedelta(minutes=30), timedelta(hours=26), timedelta(days=31)):
        sweeper.look(began + later)
    sweeper.day.open_at_the_end |= sweeper.open_kinds()


def live_through_a_retirement(sweeper: Sweeper) -> None:
    day = model_traits(Wire.OPENAI, "gpt-4-turbo").retired_on
    assert day is not None
    last = datetime(day.year, day.month, day.day, tzinfo=UTC)
    for days_before in (40, 30, 20, 7, 3, 0):
        sweeper.look(last - timedelta(days=days_before))
    sweeper.day.open_at_the_end |= sweeper.open_kinds()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    folder = tmp_path_factory.mktemp("every-kind")
    with ExitStack() as stack:
        simulator, receiver = stack.enter_context(SimulatorThread()), stack.enter_context(receiving())
        day = Day(receiver.titles)
        data_dir = installation(folder / "data", simulator, receiver)
        other = shutil.copytree(data_dir, folder / "other")
        with sweeper(data_dir, day) as first, sweeper(other, day) as second:
            with another_gateway(data_dir, folder / "gateway.log") as gateway:
                live_through(gateway, simulator, first)
            live_through_a_retirement(second)
        day.titles = receiver.titles
        yield day


@pytest.mark.parametrize("kind", TOLD)
def test_one_message_tells_each_change_however_often_it_is_evaluated(day: Day, kind: str) -> None:
    told = TOLD[kind]
    assert len(day.heard(kind)) == 1 if told is None else sorted(day.heard(kind)) == sorted(told)


@pytest.mark.parametrize("kind", sorted(set(AlertEvent) - OVER_AT_ONCE))
def test_an_incident_lasts_until_its_cause_is_over(day: Day, kind: str) -> None:
    assert kind in day.open_meanwhile
    assert kind not in day.open_at_the_end


def test_no_kind_is_left_out() -> None:
    assert set(TOLD) == set(AlertEvent)
