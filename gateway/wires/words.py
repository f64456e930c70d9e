"""The values that cross the border of this room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.engine.errors import UpstreamError
from gateway.engine.exchange import Seam, StreamBatch
from gateway.engine.usage import Usage
from gateway.engine.words import FailureKind, FinishReason, Operation, Wire


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """What the gateway must know of a client's body, the same for both surfaces.

    `max_output_tokens` is the limit the client set, `choices` its `n`, `wants_usage` OpenAI's
    `stream_options.include_usage` (always true on the Anthropic surface, whose streams carry usage). `unbounded` names
    the parameter or part, if any, whose cost can't be told from the request's bytes; `has_fees` says that tools which
    the provider runs, with fees that its usage doesn't tell, are among the request's. `inline_images` counts images
    sent along, `surcharges` are the parameters that ask for another price than the list price.
    """

    payload: dict[str, Any]
    model: str
    stream: bool
    conversation_id: str | None
    max_output_tokens: int | None
    choices: int
    has_tools: bool
    wants_usage: bool
    unbounded: str | None = None
    has_fees: bool = False
    inline_images: int = 0
    surcharges: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """What the way back must know of the request. `created_at` is in Unix seconds.

    `answer_tool` names the tool that was forced to get structured output (its input is the answer's text);
    `tool_names` maps names shortened for the target back to the client's. Without `keeps_thoughts` signed thinking is
    not given out, since the target would refuse it after any request but this one.
    """

    surface: Wire
    kind: Wire
    model: str
    created_at: int
    wants_usage: bool = False
    choices: int = 1
    answer_tool: str | None = None
    legacy_functions: bool = False
    keeps_thoughts: bool = True
    tool_names: Mapping[str, str] = field(default_factory=dict)
    operation: Operation = Operation.CHAT


@dataclass(frozen=True, slots=True)
class Translated:
    """A request for one target: its JSON body, and the client's parameters that target can't take."""

    body: bytes
    dropped: tuple[str, ...]
    context: Context


class Untranslatable(UpstreamError):
    """The target's wire has no way to say what the client asked; another target may have one."""

    def __init__(self, param: str, message: str, *, code: str = "untranslatable") -> None:
        super().__init__(FailureKind.UNTRANSLATABLE, message, status=400, code=code, param=param)


class StreamTranslator(Protocol):
    """One attempt's stream on its way from the provider's wire to the surface's.

    `usage` is what has been told so far; only once `usage_is_final` does it stand for the whole answer. `text` is the
    answer's text so far (the first choice's), `seam` where what was given out could be continued; `complete` says that
    the upstream's own terminator was seen; `terminator` closes the surface's stream and is never part of a batch.
    """

    @property
    def usage(self) -> Usage | None: ...

    @property
    def usage_is_final(self) -> bool: ...

    @property
    def finish_reason(self) -> FinishReason | None: ...

    @property
    def model(self) -> str: ...

    @property
    def upstream_id(self) -> str | None: ...

    @property
    def skipped_events(self) -> int: ...

    @property
    def complete(self) -> bool: ...

    @property
    def terminator(self) -> bytes: ...

    @property
    def text(self) -> str: ...

    @property
    def seam(self) -> Seam | None: ...

    def feed(self, data: bytes) -> StreamBatch:
        """Raw bytes of the upstream, split anywhere. Raises UpstreamError on an in-band error or an oversized event.

        What came before an in-band error is returned first; the error then leaves the next call.
        """
        ...

    def close(self) -> StreamBatch:
        """The upstream ended. Raises UpstreamError(STREAM_BROKEN) if the answer is not complete."""
        ...
