"""The record of one attempt, filled in while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.engine.configuration import Target
from gateway.engine.drill import DrillFault
from gateway.engine.errors import UpstreamError
from gateway.engine.usage import Usage
from gateway.engine.words import AttemptOutcome, FailureKind, FinishReason


@dataclass(slots=True)
class Attempt:
    """One call to one target, or the reason why it was not made.

    `number` counts from 1, `retry` from 0 (the first try at this target); `started_at` is wall time; `usage` None means
    that the provider didn't tell, `on_wire` False that no byte of the request has left (`exchange.Passage`). For
    estimating: `bytes_received` is what came of a stream, `bytes_added` the most that a request for the rest of an
    answer holds beyond the client's.
    """

    number: int
    target: Target
    target_index: int
    retry: int
    reason: str
    started_at: float
    probe: bool = False
    sent: bool = False
    on_wire: bool | None = None
    outcome: AttemptOutcome | None = None
    error: UpstreamError | None = None
    latency_ms: int = 0
    first_content_ms: int | None = None
    usage: Usage | None = None
    bytes_received: int = 0
    bytes_added: int = 0
    upstream_id: str | None = None
    dropped_params: tuple[str, ...] = ()
    rate_limits: Mapping[str, str] = field(default_factory=dict)  # the provider's headers about them, for the client
    span_id: str = ""  # of the trace; "" while nobody traces, and where nothing was sent
    passed_over: FinishReason | None = None  # it answered, but how it ended made the next target be asked

    @property
    def may_be_billed(self) -> bool:
        """Whether the provider may charge for it although it gave no answer, or none that was used."""
        if self.passed_over is not None:
            return True
        drilled = self.injected is not None and not self.injected.reaches_provider
        if drilled or self.on_wire is False:
            return False
        if self.outcome is AttemptOutcome.CANCELLED:
            return self.sent
        return self.error is not None and self.error.may_be_billed

    @property
    def drill_id(self) -> int | None:
        """The fire drill that it belongs to, also where the drill's breaker let nothing be sent."""
        drill = self.target.provider.drill
        return None if drill is None else drill.drill_id

    @property
    def injected(self) -> DrillFault | None:
        """What a fire drill did to it in the provider's place."""
        drill = self.target.provider.drill
        return drill.fault if drill is not None and self.sent else None

    def in_words(self) -> str:
        if self.error is None:
            return f"{self.target.name}: {self.outcome.value if self.outcome else 'under way'}"
        status = f" (HTTP {self.error.status})" if self.error.status else ""
        return f"{self.target.name}: {self.error.kind.value}{status}"


@dataclass(frozen=True, slots=True)
class FallbackStep:
    """One step from a target to the next. `after_ms` counts from the request's arrival."""

    number: int
    from_target: Target
    to_target: Target
    reason: str
    after_ms: int


def skipped(kind: FailureKind, message: str, *, retry_after_seconds: float | None = None) -> UpstreamError:
    """Why a target was left out without a call."""
    return UpstreamError(kind, message, retry_after_seconds=retry_after_seconds)
