"""What passes between the engine and a provider during one attempt, and the ports it passes through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.engine.configuration import Target
from gateway.engine.usage import Usage
from gateway.engine.words import FinishReason, Operation, Wire


@dataclass(frozen=True, slots=True)
class Ask:
    """What the client asked, parsed once. `payload` is never changed; translations make copies.

    `forwarded_headers` are the few client headers that may go to a provider, lower-case names.
    `default_output_tokens` is the route's bound where the client sets none; it is sent where the target's wire demands
    one, and with `bound_output` always (a blocking budget must know the most it can cost). `operation` picks the
    provider's path.
    """

    request_id: str
    surface: Wire
    payload: Mapping[str, Any]
    body: bytes
    stream: bool
    forwarded_headers: Mapping[str, str] = field(default_factory=dict)
    default_output_tokens: int = 4096
    bound_output: bool = False
    operation: Operation = Operation.CHAT


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer in the surface's wire: `body` is what the client gets, byte for byte.

    `dropped_params` are the client's parameters that the target could not take.
    """

    body: bytes
    usage: Usage | None
    finish_reason: FinishReason | None
    model: str
    upstream_id: str | None = None
    text: str = ""
    dropped_params: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """What one read from the provider became: whole SSE events in the surface's wire.

    `data` may be empty (nothing to forward yet). `has_content` is true when it holds text, a tool call or thinking.
    """

    data: bytes
    has_content: bool


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
    def bytes_received(self) -> int: ...

    @property
    def dropped_params(self) -> tuple[str, ...]: ...

    async def read(self) -> StreamBatch | None:
        """What the next read from the provider became; None once the answer is complete.

        Complete means that a finish reason or the wire's terminator was seen; any other end raises UpstreamError.
        """
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
