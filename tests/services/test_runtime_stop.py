"""Stopping a process: what is being settled comes first."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.services.runtime import Runtime


class Stoppable:
    """Ledger and configuration holder of a runtime; remembers what had been done when it was stopped."""

    def __init__(self, done: list[str]) -> None:
        self._done = done
        self.done_before: list[str] | None = None

    def stop(self) -> None:
        self.done_before = list(self._done)


async def test_the_ledger_stops_after_everything_in_the_background_even_what_came_late() -> None:
    done: list[str] = []
    ledger: Any = Stoppable(done)
    holder: Any = Stoppable(done)
    runtime = Runtime(holder, ledger)

    async def settle_late() -> None:
        for _ in range(1_000):  # longer than it takes to go on with the stop
            await asyncio.sleep(0)
        done.append("late")

    async def settle() -> None:
        await asyncio.sleep(0)
        runtime.in_background(settle_late())
        done.append("settled")

    runtime.in_background(settle())
    await runtime.stop()

    assert ledger.done_before == ["settled", "late"]
