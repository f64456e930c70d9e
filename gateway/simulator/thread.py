"""A simulator in a thread of its own, for synchronous tests and tools."""

import asyncio
import threading
from types import TracebackType
from typing import Any

import uvloop

from gateway.simulator.server import Simulator

_START_SECONDS = 10.0


class SimulatorThread:
    """``with SimulatorThread() as simulator:`` serves until the block ends. Keywords are `Simulator`'s."""

    def __init__(self, **options: Any) -> None:
        self.simulator = Simulator(**options)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="simulator", daemon=True)

    def __enter__(self) -> Simulator:
        self._thread.start()
        try:
            self._call(self.simulator.start())
        except BaseException:
            self._end()
            raise
        return self.simulator

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self.simulator.stop())
        self._end()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_START_SECONDS)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_SECONDS)
        self._loop.close()
