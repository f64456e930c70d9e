"""What passes between the engine and a provider during one attempt, and the ports it passes through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from gateway.engine.configuration import Target
from gateway.engine.trace import Trace
from gateway.engine.usage import Usage
from gateway.engine.words import FinishReason, Operation, Wire

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Seam:
    """What a client has got of an answer that broke off, as far as a continuation must know it.

    `text` is all of the answer's text. `id`, `model` and `created_at` (Unix seconds) are what the surface's events
    repeat; `open_block` is the index of the text block that is open, `next_block` that of the next one (only
    Anthropic's surface has blocks). `usage` is what the providers have told so far.
    """

    text: str
    id: str
    model: str
    created_at: int = 0
    open_block: int | None = None
    next_block: int = 0
    usage: Usage | None = None


# More than the instruction to go on, and the frames of two messages, can be.
INSTRUCTION_BYTES_MAX = 1024


@dataclass(frozen=True, slots=True)
class Continuation:
    """Going on with an answer that broke off. `prefill` asks with the text so far as the last assistant message."""

    seam: Seam
    prefill: bool

    @property
    def bytes_added(self) -> int:
        """The most that it adds to the client's request."""
        return len(self.seam.text.encode()) + INSTRUCTION_BYTES_MAX


@dataclass(slots=True)
class Passage:
    """How far one attempt's request got. `on_wire` is False while it is known that no byte of it has left, and None
    where the caller doesn't tell."""

    on_wire: bool | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """What the client asked, parsed once. `payload` is never changed; translations make copies.

    `forwarded_headers` are the few client headers that may go to a provider, lower-case names. `continuation` makes a
    streamed request one for the rest of an answer.
    `default_output_tokens` is the route's bound where the client sets none; it is sent where the target's wire demands
    one, and with `bound_output` always (a blocking budget must know the most it can cost). `operation` picks the
    provider's path. `output_limit_tokens` lowers whatever limit there is, to what a budget can pay. `passage` is the
    attempt's own, for its caller to fill in. `prompt_prefix` asks providers to keep the prompt's stable beginning.
    With a `trace` each attempt tells its provider, in `traceparent`, of a span of its own.
    """

    request_id: str
    surface: Wire
    payload: Mapping[str, Any]
    body: bytes
    stream: bool
    forwarded_headers: Mapping[str, str] = field(default_factory=dict)
    continuation: Continuation | None = None
    default_output_tokens: int = 4096
    bound_output: bool = False
    operation: Operation = Operation.CHAT
    output_limit_tokens: int | None = None
    passage: Passage = field(default_factory=Passage)
    prompt_prefix: bool = False
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer in the surface's wire: `body` is what the client gets, byte for byte.

    `dropped_params` are the client's parameters that the target could not take, `rate_limits` the provider's headers
    about them, where the client speaks its wire.
    """

    body: bytes
    usage: Usage | None
    finish_reason: FinishReason | None
    model: str
    upstream_id: str | None = None
    text: str = ""
    dropped_params: tuple[str, ...] = ()
    rate_limits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """What one read from the provider became: whole SSE events in the surface's wire.

    `data` may be empty (nothing to forward yet). `has_content` is true when it holds text, a tool call or thinking;
    `has_event` is false where nothing came but comments, or part of an event: a provider that is still silent.
    """

    data: bytes
    has_content: bool
    has_event: bool = True


class AnswerStream(Protocol):
    """A live stream of one attempt, without its terminator. The facts are what is known so far."""

    @property
    def usage(self) -> Usage | None:
        """What the provider reported of the whole answer; None until it has, whatever it told on the way."""
        ...

    @property
    def finish_reason(self) -> FinishReason | None: ...

    @property
    def upstream_id(self) -> str | None: ...

    @property
    def seam(self) -> Seam | None:
        """Where the answer could be continued; None where it can't (nothing sent, more than text sent, finished)."""
        ...

    @property
    def bytes_received(self) -> int: ...

    @property
    def dropped_params(self) -> tuple[str, ...]: ...

    @property
    def rate_limits(self) -> Mapping[str, str]: ...

    async def read(self) -> StreamBatch | None:
        """What the next read from the provider became; None once the answer is complete.

        Complete means that a finish reason or the wire's terminator was seen; any other end raises UpstreamError.
        """
        ...

    def end(self) -> StreamBatch:
        """What closes an answer whose stream brings nothing more. Raises UpstreamError if it is not complete."""
        ...

    @property
    def terminator(self) -> bytes:
        """The closing events of the surface's wire, sent after settlement (`data: [DONE]`, `event: message_stop`)."""
        ...

    async def aclose(self) -> None: ...


class Caller(Protocol):
    """One provider, ready to be called: its SDK's client and the translations to and from its wire.

    Both methods raise UpstreamError for every failure of the provider or the way to it; no retries, no sleeping.
    InvalidRequest leaves them when the client's request makes no sense on any wire.
    """

    async def answer(self, ask: Ask, target: Target) -> Answer: ...

    async def stream(self, ask: Ask, target: Target) -> AnswerStream:
        """Return once the provider has accepted the request (2xx headers); content may still be to come."""
        ...

    async def aclose(self) -> None: ...
