"""Several gateway processes on one database and one real Redis, in front of one simulator: what chaos happens to."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.simulator.server import Simulator
from gateway.simulator.thread import SimulatorThread
from tests import servers
from tests.gateway_process import GatewayProcess, another_gateway, make_tables, run_apply

PROCESSES = 4


@dataclass(slots=True)
class Redis:
    """The fleet's Redis, which may be frozen, killed and started again at the same address."""

    folder: Path
    port: int = field(default_factory=servers.free_port)
    _stack: ExitStack = field(default_factory=ExitStack)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self._process = self._stack.enter_context(servers.redis_process(self.folder, self.port))

    def freeze(self) -> None:
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        self._send(signal.SIGKILL)
        self.stop()

    def flush(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"FLUSHALL\r\nSCRIPT FLUSH\r\n")
            connection.recv(64)

    def stop(self) -> None:
        self._stack.close()
        self._process = None

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@dataclass(frozen=True, slots=True)
class Fleet:
    simulator: Simulator
    redis: Redis
    gateways: tuple[GatewayProcess, ...]

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(gateway.url for gateway in self.gateways)

    @property
    def data_dir(self) -> Path:
        return self.gateways[0].data_dir


@contextmanager
def fleet(
    folder: Path,
    document: Callable[[str], dict[str, Any]],
    *,
    processes: int = PROCESSES,
    seed: int = 0,
    env: Mapping[str, str] | None = None,
) -> Iterator[Fleet]:
    """`document` makes the configuration for a simulator's address; `seed` begins the simulator's draw of faults."""
    with ExitStack() as stack:
        simulator = stack.enter_context(SimulatorThread(seed=seed))
        redis = Redis(folder)
        stack.callback(redis.stop)
        redis.start()
        data_dir = folder / "data"
        variables = {"REDIS_URL": redis.url, **(env or {})}
        make_tables(data_dir)
        run_apply(data_dir, document(simulator.url), env=env)

        def begin(number: int) -> GatewayProcess:
            log = folder / f"gateway-{number}.log"
            return stack.enter_context(another_gateway(data_dir, log, env=variables))

        with ThreadPoolExecutor(processes) as pool:
            gateways = tuple(pool.map(begin, range(processes)))
        yield Fleet(simulator, redis, gateways)
