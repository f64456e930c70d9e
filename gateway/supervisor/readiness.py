"""Asks the gateway itself whether it is ready, the way anybody would: `GET /readyz`."""

from __future__ import annotations

import asyncio

POLL_SECONDS = 0.05
ANSWER_TIMEOUT_SECONDS = 5.0
ANSWER_MAX_BYTES = 16_384


async def until_serving(host: str, port: int, *, timeout_seconds: float) -> str | None:
    """None once `/readyz` answers 200; else, when the time is up, the last answer in words."""
    last = "it does not answer"
    try:
        async with asyncio.timeout(timeout_seconds):
            while True:
                status, last = await _ask(host, port)
                if status == 200:
                    return None
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        return last


async def _ask(host: str, port: int) -> tuple[int, str]:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                answer = await _read_all(reader)
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        return 0, f"/readyz: {str(error) or 'no answer'}"
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    return status, f"/readyz answers {status}: {body.decode(errors='replace').strip()}"


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    answer = b""
    while len(answer) < ANSWER_MAX_BYTES and (chunk := await reader.read(ANSWER_MAX_BYTES)):
        answer += chunk
    return answer
