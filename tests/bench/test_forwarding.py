"""`python -m bench.forwarding` measures what it says."""

from __future__ import annotations

import asyncio
import socket

import pytest

from bench import forwarding


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
async def test_each_chunk_says_when_it_was_written(path: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with await asyncio.start_server(forwarding._provide, sock=listener):
            call = forwarding._call(listener.getsockname()[1], path, "gpt-4-turbo")
            delays = await forwarding._delays(call, 3, 2)
    assert [len(stream) for stream in delays] == [forwarding.CHUNKS] * 3
    assert all(0 <= delay < 1 for stream in delays for delay in stream)
