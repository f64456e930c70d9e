"""`python -m bench.forwarding`: how long a chunk of a stream takes from the provider's socket to the client's.

A provider of its own writes the time into each chunk's text; the client, in the same process and by the same clock,
reads it off when the chunk is there. "direct" is the same without a gateway: so much the sockets and the benchmark's
own event loop take.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bench import load
from bench.books import KEY, document
from bench.clients import chat
from bench.fleet import fleet
from bench.machine import machine_text
from bench.measure import percentiles_ms

CHUNKS = 20
PACE_SECONDS = 0.01
STREAMS = 200
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
_STAMP = re.compile(rb"\[(\d+)\]")
_OPENAI_USAGE = {"prompt_tokens": 10, "completion_tokens": CHUNKS, "total_tokens": 10 + CHUNKS}
_CLAUDE = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude-3-5-sonnet-20241022"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.forwarding", description=__doc__)
    parser.add_argument("--streams", type=int, default=STREAMS)
    streams = parser.parse_args().streams
    print(f"{machine_text()}\n\nms from the provider's write to the client's read")
    print(f"{streams} streams of {CHUNKS} chunks a row, {PACE_SECONDS * 1000:g} ms apart\n")
    print(f"{'':40}{'first chunk':>24}{'later chunks':>24}\n{'':40}" + f"{'median':>8}{'p95':>8}{'p99':>8}" * 2)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        tempfile.TemporaryDirectory(prefix="llmops-chunks-") as name,
    ):
        port = listener.getsockname()[1]
        with (
            fleet(Path(name), document(f"http://127.0.0.1:{port}", []), processes=1) as gateway,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(_rows(listener, gateway.port, streams))
    return 0


async def _rows(listener: socket.socket, gateway_port: int, streams: int) -> None:
    async with await asyncio.start_server(_provide, sock=listener):
        direct = _call(listener.getsockname()[1], "/openai/v1/chat/completions", "gpt-4-turbo")
        routes = {"OpenAI": "openai-only", "Anthropic, translated": "claude"}
        calls = {name: _call(gateway_port, "/v1/chat/completions", route) for name, route in routes.items()}
        for name, call in {"direct": direct, **calls}.items():
            await _delays(call, 20, 1)
            for at_once in (1, 20):
                print(_row(f"{name}, {at_once} at a time", await _delays(call, streams, at_once)))


def _row(name: str, delays: Sequence[Sequence[float]]) -> str:
    first, later = [one[0] for one in delays], [delay for one in delays for delay in one[1:]]
    return f"{name:40}" + "".join(f"{ms:8.2f}" for ms in (*percentiles_ms(first), *percentiles_ms(later)))


def _call(port: int, path: str, model: str) -> load.Call:
    body = json.dumps(chat("Tell the time.", model=model, stream=True)).encode()
    return load.post("127.0.0.1", port, path, body, KEY, b"data: [DONE]")


async def _delays(call: load.Call, streams: int, at_once: int) -> list[list[float]]:
    """Of each stream the seconds that each chunk took."""
    left = iter(range(streams))

    async def one_after_the_other() -> list[list[float]]:
        return [await _stream(call) for _ in left]

    workers = await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
    return [delays for worker in workers for delays in worker]


async def _stream(call: load.Call) -> list[float]:
    reader, writer = await asyncio.open_connection(call.host, call.port)
    delays: list[float] = []
    try:
        writer.write(call.request)
        while line := await reader.readline():
            if stamp := _STAMP.search(line):
                delays.append(time.monotonic() - int(stamp[1]) / 1e9)
            elif call.expected in line:
                break
    finally:
        writer.close()
    if len(delays) != CHUNKS:
        raise load.BadAnswer(f"{len(delays)} chunks of {CHUNKS}")
    return delays


async def _provide(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Either wire's stream, a stamped chunk at a time."""
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
    before, chunk, after = _claude() if b"/messages" in head.split(b"\r\n", 1)[0] else _openai()
    writer.write(_HEAD + before)
    for _ in range(CHUNKS):
        await asyncio.sleep(PACE_SECONDS)
        writer.write(chunk % time.monotonic_ns())
    writer.write(after)
    writer.close()


def _openai() -> tuple[bytes, bytes, bytes]:
    def event(delta: dict[str, str], **more: object) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": None}]
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4-turbo", "choices": choices}
        return f"data: {json.dumps({**chunk, **more})}\n\n".encode()

    stop = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    after = event({}, choices=stop) + event({}, choices=[], usage=_OPENAI_USAGE) + b"data: [DONE]\n\n"
    return event({"role": "assistant", "content": ""}), event({"content": "[%d]"}), after


def _claude() -> tuple[bytes, bytes, bytes]:
    def event(kind: str, **more: object) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()

    start = {**_CLAUDE, "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 1}}
    before = event("message_start", message=start)
    before += event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    chunk = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "[%d]"})
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    after = event("content_block_stop", index=0) + event("message_delta", delta=ended, usage={"output_tokens": CHUNKS})
    return before, chunk, after + event("message_stop")


if __name__ == "__main__":
    raise SystemExit(main())
