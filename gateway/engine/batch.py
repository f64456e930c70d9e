"""How a batch, its parts at providers and its lines come to their end: pure rules over a few facts.

A batch's lines are reserved for, grouped into jobs (one job is one batch at one provider) and answered there; what a
provider could not answer runs alone on the route. Every step may be repeated: whoever takes a batch up again after a
crash asks here what is next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto


class BatchState(StrEnum):
    VALIDATING = "validating"
    RESERVING = "reserving"  # its lines are read; budgets are asked for each of them
    IN_PROGRESS = "in_progress"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"  # nothing of it was sent: its file or its budget didn't allow
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (BatchState.COMPLETED, BatchState.FAILED, BatchState.EXPIRED, BatchState.CANCELLED)


class LineState(StrEnum):
    NEW = "new"
    RESERVED = "reserved"  # its intent is in the ledger
    SENT = "sent"  # it belongs to a job
    ALONE = "alone"  # it is to run by itself, as an ordinary completion
    DONE = "done"


class LineOutcome(StrEnum):
    NONE = ""
    SUCCEEDED = "succeeded"
    ERRORED = "errored"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class JobState(StrEnum):
    PREPARING = "preparing"  # nothing of it is at the provider, or nothing that costs
    CREATING = "creating"  # the provider was asked to make it, and its answer is not known
    RUNNING = "running"
    ENDED = "ended"  # at the provider; its results are to be read
    COLLECTED = "collected"
    ABANDONED = "abandoned"  # the provider never had it; its lines run alone


class JobStep(StrEnum):
    CREATE = auto()
    RECONCILE = auto()  # look whether the provider has it after all
    POLL = auto()
    COLLECT = auto()
    ABANDON = auto()
    WAIT = auto()
    NONE = auto()


MAX_LINES_PER_JOB = 5_000
MAX_JOB_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class JobFacts:
    """`asked_seconds` since the provider was asked to make it, `failing_seconds` since it first could not be made;
    `stopping`: its batch is being cancelled or has expired."""

    state: JobState
    asked_seconds: float = 0.0
    failing_seconds: float = 0.0
    stopping: bool = False


def job_step(job: JobFacts, *, patience_seconds: float, reconcile_seconds: float) -> JobStep:
    """What to do about a job now. `patience_seconds`: how long a provider may be unable to make it;
    `reconcile_seconds`: when no call of a worker that is gone can still be on its way to the provider."""
    if job.state is JobState.CREATING:
        return JobStep.RECONCILE if job.asked_seconds >= reconcile_seconds else JobStep.WAIT
    if job.state is JobState.PREPARING:
        return JobStep.ABANDON if job.stopping or job.failing_seconds > patience_seconds else JobStep.CREATE
    return {JobState.RUNNING: JobStep.POLL, JobState.ENDED: JobStep.COLLECT}.get(job.state, JobStep.NONE)


def runs_alone(status: int | None) -> bool:
    """Whether a line that its provider's batch didn't answer is asked again by itself: the provider failed, was too
    busy, refused us or never came to it (None). What it says of the request itself is the line's result."""
    return status is None or status >= 500 or status in (401, 402, 403, 404, 408, 409, 429)


def batch_end(state: BatchState, outcomes: Mapping[LineOutcome, int]) -> BatchState:
    """How a batch ends whose lines all have their result."""
    if state is BatchState.CANCELLING:
        return BatchState.CANCELLED
    return BatchState.EXPIRED if outcomes.get(LineOutcome.EXPIRED) else BatchState.COMPLETED
