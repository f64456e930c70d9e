"""The words every room shares. Models build their choices from these; nothing here knows a vendor."""

from enum import StrEnum


class Wire(StrEnum):
    """A public wire format: what a client speaks (its surface) or what a provider speaks (its kind)."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Operation(StrEnum):
    """What a client asks for. Its surface is the wire that has it."""

    CHAT = "chat"
    MESSAGES = "messages"
    COUNT_TOKENS = "count_tokens"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"

    @property
    def surface(self) -> Wire:
        return Wire.ANTHROPIC if self in (Operation.MESSAGES, Operation.COUNT_TOKENS) else Wire.OPENAI

    @property
    def is_metered(self) -> bool:
        """Passed through and metered, never translated: only providers of the surface's own wire can serve it."""
        return self in (Operation.RESPONSES, Operation.EMBEDDINGS)


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class FinishReason(StrEnum):
    """Why a model stopped, in one vocabulary for both wires."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    REFUSAL = "refusal"
    OTHER = "other"


class StreamRecovery(StrEnum):
    """What follows when a stream breaks after its first content."""

    CONTINUE = "continue"  # the next target goes on from the text already sent
    ERROR = "error"  # the stream ends with an error
    BUFFER = "buffer"  # nothing was sent yet: the answer is held back until it is whole


class CompletionStatus(StrEnum):
    PENDING = "pending"  # intent written, not settled yet
    ANSWERED = "answered"
    FAILED = "failed"
    CANCELLED = "cancelled"  # the client left
    UNKNOWN = "unknown"  # orphaned by a crash, settled at its reservation
    REFUSED = "refused"  # turned away before its intent: nothing was reserved, nobody was asked


class AttemptOutcome(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"  # the client left: says nothing about the provider
    SKIPPED = "skipped"  # never sent: breaker open, target can't serve the request


class FailureKind(StrEnum):
    """What went wrong with an attempt; the error tables of `gateway.providers` speak these words only."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    SERVER_ERROR = "server_error"
    UNREADABLE = "unreadable"  # 2xx, but not what the wire promises
    STREAM_BROKEN = "stream_broken"
    REJECTED_US = "rejected_us"  # 401, 402, 403: our key, account or permission
    MODEL_NOT_FOUND = "model_not_found"
    CONTEXT_TOO_LONG = "context_too_long"
    CONTENT_POLICY = "content_policy"
    INVALID_REQUEST = "invalid_request"
    UNTRANSLATABLE = "untranslatable"  # the target's wire has no way to say what was asked
    BREAKER_OPEN = "breaker_open"
    OVERLOADED = "overloaded"  # no place in flight, none in the queue in time

    @property
    def words(self) -> str:
        """As part of a sentence for people."""
        return self.value.replace("_", " ")


# Anthropic's word for a conversation kept at the provider that isn't there: its SDKs then send the whole of it again.
THREAD_NOT_FOUND = "thread_not_found"


class Billing(StrEnum):
    """Where an amount comes from."""

    NONE = "none"  # the provider does not bill this attempt
    REPORTED = "reported"  # the provider told the usage
    ESTIMATED = "estimated"  # a provable upper bound
    UNKNOWN = "unknown"  # an orphan, at its reservation
