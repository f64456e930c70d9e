"""One running child process: its output passed on, its last words kept, its readiness known."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gateway.supervisor.signs import GO_FD, READY_FD
from gateway.supervisor.spec import Part

LAUNCHER = str(Path(__file__).with_name("launch.py"))
TAIL_BYTES = 4096
PORT_POLL_SECONDS = 0.05

Output = Callable[[bytes], None]


class Child:
    """Made by `start_child`; `ready` is set, and `on_ready` called, once it does its work."""

    def __init__(
        self,
        part: Part,
        process: asyncio.subprocess.Process,
        go_fd: int,
        output: Output,
        on_ready: Callable[[], None] | None,
    ) -> None:
        self.part = part
        self.process = process
        self.started_at = time.monotonic()
        self.ready = asyncio.Event()
        self._on_ready = on_ready
        self._go_fd: int | None = go_fd
        self._port_watch: asyncio.Task[None] | None = None
        self._tail = b""
        self._relay = asyncio.create_task(self._pass_on(output))

    def go(self) -> None:
        """Let a child that waits for it serve. Doing so twice changes nothing."""
        if self._go_fd is not None:
            with contextlib.suppress(OSError):  # it has died in the meantime
                os.write(self._go_fd, b"1")
            os.close(self._go_fd)
            self._go_fd = None

    async def ended(self) -> int:
        """Waits for its end and its last output; the exit status, negative for a signal."""
        status = await self.process.wait()
        await asyncio.wait([self._relay], timeout=1)  # a grandchild may hold the pipe open
        self._relay.cancel()
        if self._go_fd is not None:
            os.close(self._go_fd)
            self._go_fd = None
        return status

    def send(self, number: signal.Signals) -> None:
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def stop(self) -> None:
        """Asks it to end, and ends it when its time is up."""
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.part.stop_timeout_seconds):
                await self.process.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self.process.wait()

    def last_words(self) -> str:
        return "\n".join(self._tail.decode(errors="replace").splitlines()[-20:])

    def age_seconds(self) -> float:
        return time.monotonic() - self.started_at

    def watch(self, ready_read: int) -> None:
        """Sets `ready` when the child says so through the pipe, or once its port or socket answers."""
        loop = asyncio.get_running_loop()

        def heard() -> None:
            loop.remove_reader(ready_read)
            if os.read(ready_read, 1):
                self._became_ready()
            os.close(ready_read)

        loop.add_reader(ready_read, heard)
        if self.part.ready_port is not None or self.part.ready_socket is not None:
            self._port_watch = asyncio.create_task(self._watch_port())

    async def _connect(self) -> asyncio.StreamWriter:
        if self.part.ready_socket is not None:
            return (await asyncio.open_unix_connection(self.part.ready_socket))[1]
        return (await asyncio.open_connection("127.0.0.1", self.part.ready_port))[1]

    async def _watch_port(self) -> None:
        while self.process.returncode is None and not self.ready.is_set():
            try:
                writer = await self._connect()
            except OSError:
                await asyncio.sleep(PORT_POLL_SECONDS)
            else:
                writer.close()
                self._became_ready()

    def _became_ready(self) -> None:
        self.ready.set()
        if self._on_ready is not None:
            self._on_ready()

    async def _pass_on(self, output: Output) -> None:
        assert self.process.stdout is not None
        while chunk := await self.process.stdout.read(65536):
            self._tail = (self._tail + chunk)[-TAIL_BYTES:]
            output(chunk)


async def start_child(part: Part, output: Output, *, on_ready: Callable[[], None] | None = None) -> Child:
    """Starts the part in a session of its own: a terminal's Ctrl-C reaches the supervisor alone."""
    ready_read, ready_write = os.pipe()
    go_read, go_write = os.pipe()
    inherited = [ready_write, go_read] + ([] if part.listener_fd is None else [part.listener_fd])
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", LAUNCHER),
            *(str(os.getpid()), str(int(part.death_signal))),
            *part.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **part.environment, READY_FD: str(ready_write), GO_FD: str(go_read)},
            pass_fds=inherited,
            start_new_session=True,
        )
    finally:
        os.close(ready_write)
        os.close(go_read)
    child = Child(part, process, go_write, output, on_ready)
    child.watch(ready_read)
    return child
