"""Time as an argument: what the engine waits with and measures by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """`now` is wall time (seconds since 1970), `monotonic` measures spans; `timeout(seconds)` raises TimeoutError."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    timeout: Callable[[float | None], AbstractAsyncContextManager[object]] = asyncio.timeout


SYSTEM_CLOCK = Clock()
