"""What is measured by looking every second: calls under way, queues, the ledger."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway import metrics

if TYPE_CHECKING:
    from gateway.services.runtime import Runtime

EVERY_SECONDS = 1.0


class Sampling:
    """Runs on the event loop that owns what it looks at."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._commits_seen = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self.sample()
            await asyncio.sleep(EVERY_SECONDS)

    def sample(self) -> None:
        for name, gate in self._runtime.engine.gates.items():
            metrics.IN_FLIGHT.labels(name).set(gate.in_flight)
            metrics.QUEUED.labels(name).set(gate.queued)
        ledger = self._runtime.ledger
        metrics.LEDGER_QUEUE.set(ledger.queue_depth)
        metrics.LEDGER_AWAY.set(0 if ledger.healthy else 1)
        metrics.LEDGER_COMMIT_SECONDS.set(ledger.last_commit_seconds or 0)
        commits = ledger.commits
        metrics.LEDGER_COMMITS.inc(commits - self._commits_seen)
        self._commits_seen = commits
