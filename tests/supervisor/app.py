"""A gateway in miniature for the supervisor's tests: ready at once, slow or dead when asked to be."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

CRASH_FLAG = "SUPERVISOR_TEST_CRASH_FILE"  # while this file exists a worker dies at start-up


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    if scope["path"] == "/die":
        os._exit(7)
    if scope["path"] == "/slow":
        await _until_told(scope["query_string"].decode())
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup" and _crash_wanted():
            raise SystemExit("the application can't start: no luck today")
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _crash_wanted() -> bool:
    return Path(os.environ.get(CRASH_FLAG, "")).is_file()


async def _until_told(fifo: str) -> None:
    """Answers only once the test has written to its named pipe."""
    await asyncio.to_thread(Path(fifo).read_bytes)
