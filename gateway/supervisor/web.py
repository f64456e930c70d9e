"""One gateway worker: `python -m gateway.supervisor.web --fd N`, N being the supervisor's listening socket.

SIGTERM drains: no new connections, whatever was accepted is answered with `Connection: close`, then the worker ends.
What is still under way after `--drain-seconds` is ended by the application, which may offer a callable `break_off` for
it in its lifespan's state, and is cancelled soon after.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Generator

import uvicorn

from gateway.engine.words import Wire
from gateway.providers.registry import import_sdks
from gateway.supervisor.listener import BACKLOG
from gateway.supervisor.plan import DRAIN_SECONDS, SEND_TIMEOUT_SECONDS
from gateway.supervisor.protocol import LAST_WORDS_SECONDS, BoundedProtocol
from gateway.supervisor.signs import tell_ready, wait_for_go
from gateway.supervisor.spec import DEFAULT_APP

KEEP_ALIVE_SECONDS = 75  # longer than the usual client pool keeps an idle connection, so that clients close first
BREAK_OFF_SECONDS = 5  # for the errors that end what the drain didn't see answered
ALLOCATIONS_PER_COLLECTION = 20_000  # Python's default of 700 spends a fifth of a request's time looking for garbage


class Worker(uvicorn.Server):
    """uvicorn's server with a gentler end and an honest exit status."""

    def __init__(self, config: uvicorn.Config, *, drain_seconds: float) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        tell_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        for connection in self.server_state.connections:
            cycle = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                connection.shutdown()  # answers with `Connection: close`; an idle connection would be closed at once
        await asyncio.sleep(LAST_WORDS_SECONDS)  # for the request that an accepted connection was opened for
        break_off = asyncio.get_running_loop().call_later(self._drain_seconds, self._break_off)
        await super().shutdown(sockets)
        break_off.cancel()

    def _break_off(self) -> None:
        if (break_off := self.lifespan.state.get("break_off")) is not None:
            break_off()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Without uvicorn's raising the signal again afterwards: a drained worker has ended well."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield


def main(arguments: list[str] | None = None) -> None:
    gc.set_threshold(ALLOCATIONS_PER_COLLECTION, 20, 20)  # before the imports, which are all allocations and no garbage
    parser = argparse.ArgumentParser(prog="gateway.supervisor.web", description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket's file descriptor")
    parser.add_argument("--app", default=DEFAULT_APP)
    parser.add_argument("--drain-seconds", type=int, default=DRAIN_SECONDS)
    parser.add_argument("--send-timeout-seconds", type=int, default=SEND_TIMEOUT_SECONDS)
    parser.add_argument(
        "--sdk", dest="kinds", type=Wire, action="append", default=[], help="a kind of provider whose SDK is needed"
    )
    options = parser.parse_args(arguments)

    class Protocol(BoundedProtocol):
        send_timeout_seconds = options.send_timeout_seconds

    config = uvicorn.Config(
        options.app,
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=options.drain_seconds + BREAK_OFF_SECONDS,
    )
    config.load()  # this and the SDKs are the slow part: while the other parts start as well
    import_sdks(options.kinds)
    if wait_for_go():
        Worker(config, drain_seconds=options.drain_seconds).run(sockets=[socket.socket(fileno=options.fd)])


if __name__ == "__main__":
    main()
