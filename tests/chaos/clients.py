"""The official SDKs as agents use them, with nobody's retries but the gateway's: one call, one judged result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import anthropic
import httpx2
import openai

from gateway.simulator.text import text_of_length
from tests.gateway_process import AGENT_KEY

TOKENS = 60
PROMPT = f"[[tokens: {TOKENS}]]"
WHOLE = text_of_length(TOKENS)
MAX_TOKENS = 300


class Sdk(StrEnum):
    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Kind(StrEnum):
    """What an agent got, in the words it would use."""

    WHOLE = "whole answer"
    ERROR = "clear error"  # the SDK's own class, with a status or from within the stream
    CONNECTION = "connection lost"  # only excusable when the gateway's process was killed
    TRUNCATED = "truncated"  # looks like an answer and isn't one
    HANG = "hang"
    NONSENSE = "nonsense"  # anything an agent has no way to understand


@dataclass(slots=True)
class Result:
    """One call. Times are seconds since it began; tokens are what the gateway reported."""

    kind: Kind = Kind.NONSENSE
    text: str = ""
    finished: bool = False
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    status: int | None = None
    code: str = ""
    error: str = ""
    request_id: str = ""
    provider: str = ""
    fell_back: bool = False
    gateway: str = ""
    began: float = field(default_factory=time.monotonic)
    first_content_seconds: float | None = None
    seconds: float = 0.0

    def hear(self, text: str) -> None:
        if text and self.first_content_seconds is None:
            self.first_content_seconds = time.monotonic() - self.began
        self.text += text

    def note_headers(self, headers: Any) -> None:
        self.request_id = headers.get("x-request-id", "")
        self.provider = headers.get("x-llmops-provider", "")
        self.fell_back = headers.get("x-llmops-fallback") == "true"


class Agents:
    """Both SDKs' clients for one gateway address. `timeout_seconds` is theirs, so that a hang is ours to find first."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self.url = url
        self.openai = openai.AsyncOpenAI(
            base_url=f"{url}/v1", api_key=AGENT_KEY, max_retries=0, timeout=timeout_seconds * 2
        )
        self.anthropic = anthropic.AsyncAnthropic(
            base_url=url, api_key=AGENT_KEY, max_retries=0, timeout=timeout_seconds * 2
        )
        self._timeout_seconds = timeout_seconds

    async def ask(self, sdk: Sdk, route: str, *, stream: bool = True, prompt: str = PROMPT) -> Result:
        """Never raises: whatever happens is the result."""
        result = Result(gateway=self.url)
        call = {
            (Sdk.OPENAI, True): self._openai_stream,
            (Sdk.OPENAI, False): self._openai_plain,
            (Sdk.ANTHROPIC, True): self._anthropic_stream,
            (Sdk.ANTHROPIC, False): self._anthropic_plain,
        }[sdk, stream]
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await call(result, route, [{"role": "user", "content": prompt}])
            whole = result.finished and result.text == WHOLE
            result.kind = Kind.WHOLE if whole else Kind.TRUNCATED
        except TimeoutError:
            result.kind, result.error = Kind.HANG, f"nothing after {self._timeout_seconds:g} s"
        except Exception as error:
            _note_error(result, error)
        result.seconds = time.monotonic() - result.began
        return result

    async def aclose(self) -> None:
        await self.openai.close()
        await self.anthropic.close()

    async def _openai_stream(self, result: Result, route: str, messages: Any) -> None:
        usage: Any = {"include_usage": True}
        stream = await self.openai.chat.completions.create(
            model=route, messages=messages, stream=True, max_tokens=MAX_TOKENS, stream_options=usage
        )
        result.note_headers(stream.response.headers)
        async with stream:
            async for chunk in stream:
                result.model = chunk.model or result.model
                for choice in chunk.choices:
                    result.hear(choice.delta.content or "")
                    result.finished = result.finished or choice.finish_reason == "stop"
                if chunk.usage:
                    result.input_tokens = chunk.usage.prompt_tokens
                    result.output_tokens = chunk.usage.completion_tokens

    async def _openai_plain(self, result: Result, route: str, messages: Any) -> None:
        raw = await self.openai.chat.completions.with_raw_response.create(
            model=route, messages=messages, max_tokens=MAX_TOKENS
        )
        result.note_headers(raw.headers)
        answer = raw.parse()
        result.model, result.finished = answer.model, answer.choices[0].finish_reason == "stop"
        result.hear(answer.choices[0].message.content or "")
        if answer.usage:
            result.input_tokens, result.output_tokens = answer.usage.prompt_tokens, answer.usage.completion_tokens

    async def _anthropic_stream(self, result: Result, route: str, messages: Any) -> None:
        stream = await self.anthropic.messages.create(
            model=route, messages=messages, stream=True, max_tokens=MAX_TOKENS
        )
        result.note_headers(stream.response.headers)
        ended = False
        async with stream:
            async for event in stream:
                if event.type == "message_start":
                    result.model, result.input_tokens = event.message.model, event.message.usage.input_tokens
                elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                    result.hear(event.delta.text)
                elif event.type == "message_delta":
                    ended = event.delta.stop_reason == "end_turn"
                    result.input_tokens = event.usage.input_tokens or result.input_tokens
                    result.output_tokens = event.usage.output_tokens
                elif event.type == "message_stop":
                    result.finished = ended

    async def _anthropic_plain(self, result: Result, route: str, messages: Any) -> None:
        raw = await self.anthropic.messages.with_raw_response.create(
            model=route, messages=messages, max_tokens=MAX_TOKENS
        )
        result.note_headers(raw.headers)
        answer = await raw.parse()
        result.model, result.finished = answer.model, answer.stop_reason == "end_turn"
        result.hear("".join(block.text for block in answer.content if block.type == "text"))
        result.input_tokens, result.output_tokens = answer.usage.input_tokens, answer.usage.output_tokens


def _note_error(result: Result, error: Exception) -> None:
    """What the SDK raised: its own classes are clear, anything else is not."""
    result.error = f"{type(error).__name__}: {error}"[:600]
    if isinstance(error, openai.APIStatusError | anthropic.APIStatusError):
        result.kind, result.status = Kind.ERROR, error.status_code
        result.request_id = error.response.headers.get("x-request-id", "") or result.request_id
        body = error.body if isinstance(error.body, dict) else {}
        result.code = str(body.get("code") or body.get("error", {}).get("code") or body.get("error", {}).get("type"))
    elif isinstance(error, openai.APIConnectionError | anthropic.APIConnectionError | httpx2.TransportError):
        result.kind = Kind.CONNECTION
    elif isinstance(error, openai.APIError | anthropic.APIError):
        result.kind, result.code = Kind.ERROR, str(getattr(error, "code", ""))


@asynccontextmanager
async def agents(urls: tuple[str, ...], timeout_seconds: float) -> AsyncIterator[list[Agents]]:
    made = [Agents(url, timeout_seconds) for url in urls]
    try:
        yield made
    finally:
        for each in made:
            await each.aclose()
