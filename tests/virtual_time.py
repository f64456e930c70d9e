"""An event loop whose time is ours: whatever sleeps or times out does so at once, in the right order.

`asyncio.sleep`, `asyncio.timeout` and `loop.time()` all follow it. When nothing is left that could ever happen, the
loop raises instead of hanging.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

from gateway.engine.clock import Clock

EPOCH_SECONDS = 1_800_000_000.0  # the wall time at which every virtual loop begins


class _NeverWaiting(selectors.DefaultSelector):
    """Instead of waiting, moves the time on by what would have been waited."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("deadlock: every task waits, and no timer is left to wake one")
        self._advance(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._seconds = 0.0
        super().__init__(_NeverWaiting(self._advance))

    def time(self) -> float:
        return self._seconds

    def _advance(self, seconds: float) -> None:
        self._seconds += seconds


def stall(seconds: float) -> None:
    """Time that passes while the loop is kept busy by something else."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop._advance(seconds)


class VirtualClock:
    """Makes the engine's `Clock` from the running loop and notes every sleep, in seconds."""

    def __init__(self) -> None:
        self.sleeps: list[float] = []
        self.clock = Clock(now=self.now, monotonic=self.monotonic, sleep=self._sleep)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> float:
        return EPOCH_SECONDS + self.monotonic()

    async def pass_time(self, seconds: float) -> None:
        """Move the clock so far while everything else goes on; takes no time, and refuses a loop of real time."""
        assert isinstance(asyncio.get_running_loop(), VirtualLoop)
        await asyncio.sleep(seconds)

    async def _sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        await asyncio.sleep(seconds)


def loop_factories(config: Any, item: Any) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For a room's conftest: `pytest_asyncio_loop_factories = loop_factories`."""
    return {"virtual": VirtualLoop}
