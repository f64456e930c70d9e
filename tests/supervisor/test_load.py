"""The real supervisor under streaming load: workers are replaced and drained, and no request fails."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from gateway.simulator import Simulator, SimulatorThread
from gateway.simulator.faults import Fault, FaultKind
from tests.supervisor.conftest import Program
from tests.supervisor.test_up import Installation, children_named, installed

pytestmark = pytest.mark.redis

KEY = "sk-llmops-test-load-0123456789abcdef"
KEYS = f"api_keys: [{{name: agents, key: {KEY}, team: research}}]\n"
WORKERS, CLIENTS = 4, 12
# Slow enough for every replacement to find streams under way.
SECONDS_PER_TOKEN = 0.05


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with SimulatorThread() as running:
        running.faults.add(Fault(provider="openai", kind=FaultKind.SLOW_TOKENS, seconds=SECONDS_PER_TOKEN))
        yield running


@pytest.fixture
def started(tmp_path_factory: pytest.TempPathFactory, simulator: Simulator) -> Iterator[Program]:
    with installed(tmp_path_factory.mktemp("load"), simulator.url) as installation:
        installation.config.write_text(installation.config.read_text() + KEYS)
        yield up(installation)


def up(installation: Installation) -> Program:
    program = installation.up("--workers", str(WORKERS))
    program.until("Ctrl-C stops everything.")
    return program


class Load:
    """Clients that ask for a stream, read it to its end and ask again, each with a new connection, until stopped."""

    def __init__(self, port: int) -> None:
        self.whole = 0
        self.failures: list[str] = []
        self.refused = 0  # connections that nobody took: nothing was accepted
        self._port = port
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def until_whole(self, count: int) -> None:
        deadline = time.monotonic() + 30
        while self.whole < count and not self.failures and time.monotonic() < deadline:
            self._ended.wait(0.02)

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask_on(self) -> None:
        while not self._ended.is_set():
            try:
                answer = self._ask()
            except ConnectionRefusedError:
                self.refused += 1
                return
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                return
            if answer.endswith("data: [DONE]\n\n"):
                self.whole += 1
            else:
                self.failures.append(answer[-300:])

    def _ask(self) -> str:
        body = {"model": "default", "stream": True, "messages": [{"role": "user", "content": "[[tokens: 12]]"}]}
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json", "connection": "close"}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            return connection.getresponse().read().decode()
        finally:
            connection.close()


def test_replacing_and_draining_all_workers_fails_no_stream(started: Program) -> None:
    before = set(children_named(started.process.pid, b"gateway.supervisor.web"))
    load = Load(started.port)
    try:
        load.until_whole(CLIENTS)
        started.send(signal.SIGHUP)
        started.until("Every gateway worker has been replaced.")
        assert before.isdisjoint(children_named(started.process.pid, b"gateway.supervisor.web"))
        load.until_whole(load.whole + CLIENTS)
        started.send(signal.SIGTERM)
        assert started.exit_status() == 0
    finally:
        load.end()
    assert load.failures == []
    assert load.refused == CLIENTS
    assert load.whole > 2 * CLIENTS
