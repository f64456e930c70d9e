"""Runs all parts: start together, serve once every one is ready, replace on SIGHUP, drain on SIGINT and SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence

from gateway.supervisor.listener import local_address
from gateway.supervisor.readiness import until_serving
from gateway.supervisor.slot import READY_TIMEOUT_SECONDS, RESTART_SECONDS, GaveUp, Slot
from gateway.supervisor.spec import Part, Role

DOUBLE_SIGNAL_SECONDS = 0.5  # one Ctrl-C may reach us twice (terminal and make); only a later one means "at once"


class Supervisor:
    """`run` returns the exit status: 0 after a requested end, 1 if a part could not be kept running.

    `configured`: `/readyz` is expected to say yes soon. An installation without a route has its back office only.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        listener: socket.socket,
        *,
        on_ready: Callable[[], None],
        configured: bool = True,
        restart_seconds: float = RESTART_SECONDS,
        double_signal_seconds: float = DOUBLE_SIGNAL_SECONDS,
    ) -> None:
        self._listener = listener
        self._address = local_address(listener)
        self._on_ready = on_ready
        self._configured = configured
        self._slots = [Slot(part, write_through, say, restart_seconds=restart_seconds) for part in parts]
        self._stop = asyncio.Event()
        self._stop_asked_at = 0.0
        self._double_signal_seconds = double_signal_seconds
        self._reload = asyncio.Event()

    async def run(self) -> int:
        self._listen_for_signals()
        for slot in self._slots:
            await slot.start()
        work = [asyncio.create_task(slot.keep()) for slot in self._slots]
        work.append(asyncio.create_task(self._serve()))
        stop = asyncio.create_task(self._stop.wait())
        try:
            return await self._until_stopped(work, stop)
        finally:
            await self._drain()
            for task in (*work, stop):
                task.cancel()
            await asyncio.gather(*work, stop, return_exceptions=True)

    async def _until_stopped(self, work: Sequence[asyncio.Task[None]], stop: asyncio.Task[bool]) -> int:
        """Returns when asked to stop, or when a part (or the start-up) has failed for good."""
        done, _ = await asyncio.wait((*work, stop), return_when=asyncio.FIRST_COMPLETED)
        if stop in done:
            return 0
        for error in (task.exception() for task in work if task in done):
            if isinstance(error, GaveUp):
                say(str(error))
            elif error is not None:
                raise error
        return 1

    async def _serve(self) -> None:
        """Start-up, then replacements for ever."""
        gateway, others = self._of(Role.GATEWAY), self._of(Role.UPSTREAM, Role.BACKGROUND)
        await asyncio.gather(*(slot.until_ready() for slot in others))
        for slot in gateway:
            slot.go()
        await asyncio.gather(*(slot.until_ready() for slot in gateway))
        if self._configured:
            await self._until_serving()
        self._on_ready()
        while True:
            await self._reload.wait()
            self._reload.clear()
            await self._replace_workers()

    async def _until_serving(self) -> None:
        missing = await until_serving(*self._address, timeout_seconds=READY_TIMEOUT_SECONDS)
        if missing is not None:
            raise GaveUp(f"The gateway runs but does not get ready: {missing}")

    async def _replace_workers(self) -> None:
        say("Replacing the gateway's workers one by one.")
        for slot in self._of(Role.GATEWAY):
            if not await slot.replace():
                return
        say("Every gateway worker has been replaced.")

    async def _drain(self) -> None:
        """The gateway first, and what it calls last, so that whatever was accepted can still be answered."""
        self._listener.close()
        first = self._of(Role.GATEWAY, Role.BACKGROUND)
        await asyncio.gather(*(slot.retire() for slot in first))
        await asyncio.gather(*(slot.retire() for slot in self._of(Role.UPSTREAM)))

    def _of(self, *roles: Role) -> list[Slot]:
        return [slot for slot in self._slots if slot.part.role in roles]

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        loop.add_signal_handler(signal.SIGTERM, self._stop_asked)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)

    def _stop_asked(self) -> None:
        if not self._stop.is_set():
            self._stop_asked_at = time.monotonic()
            say("Stopping: answering what was accepted (Ctrl-C again: at once).")
            self._stop.set()

    def _interrupted(self) -> None:
        if self._stop.is_set() and time.monotonic() - self._stop_asked_at > self._double_signal_seconds:
            say("Stopping at once.")
            for slot in self._slots:
                slot.kill()
        self._stop_asked()


def say(text: str) -> None:
    write_through(f"{text}\n".encode())


def write_through(chunk: bytes) -> None:
    """To our standard output; where nobody reads it any more the work goes on."""
    with contextlib.suppress(OSError):
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
