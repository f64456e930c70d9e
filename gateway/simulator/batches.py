"""What both providers' batches have in common: lines worked off as time passes, what they cost, and how they end."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from gateway.simulator.bill import Bill
from gateway.simulator.errors import WireError
from gateway.simulator.fault_errors import status_error
from gateway.simulator.faults import FaultBook, FaultKind
from gateway.simulator.reply import Reply

BATCH_SECONDS = 1.0  # from a batch's creation until its last line may be done
# A look at a batch works off at most so many lines, so that no look holds up the other requests for long.
LINES_PER_LOOK = 1_000
MAX_BATCHES = 1_000
MAX_LINES = 100_000


class LineWire(Protocol):
    """The part of a wire that answers a line."""

    name: str

    def prepare(self, body: dict[str, Any], raw: bytes, headers: Mapping[str, str]) -> Reply: ...


@dataclass(slots=True)
class Line:
    """One request of a batch; ``answer`` or ``error`` once it was worked off."""

    custom_id: str
    wire: LineWire
    body: dict[str, Any]
    answer: bytes | None = None
    error: WireError | None = None


@dataclass(slots=True)
class Batch:
    """One provider's batch. ``at`` are moments of the desk's clock, ``done`` counts the lines worked off."""

    id: str
    lines: list[Line]
    created_at: float  # Unix seconds
    began: float
    facts: dict[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    done: int = 0
    cancelled: bool = False
    expired: bool = False
    expires_after_lines: int | None = None

    @property
    def ended(self) -> bool:
        return self.cancelled or self.expired or self.done == len(self.lines)

    def worked(self) -> Iterator[Line]:
        return iter(self.lines[: self.done])

    def left(self) -> Iterator[Line]:
        return iter(self.lines[self.done :])


class BatchBooks:
    """Works batches off. ``charged`` counts how often each provider's ``custom_id`` was billed."""

    def __init__(
        self, bill: Bill, faults: FaultBook, clock: Callable[[], float], batch_seconds: float = BATCH_SECONDS
    ) -> None:
        self._bill = bill
        self._faults = faults
        self._clock = clock
        self.batch_seconds = batch_seconds
        self.charged: Counter[tuple[str, str]] = Counter()

    def now(self) -> float:
        return self._clock()

    def advance(self, batch: Batch) -> None:
        """Work off what is due by now. A cancelled batch does no more, nor one that has expired."""
        due = min(self._due(batch), batch.done + LINES_PER_LOOK)
        if batch.expires_after_lines is not None:
            due = min(due, batch.expires_after_lines)
        while batch.done < due and not batch.ended:
            self._work(batch.lines[batch.done], batch.headers)
            batch.done += 1
        if batch.expires_after_lines is not None and batch.done >= batch.expires_after_lines:
            batch.expired = batch.done < len(batch.lines)

    def _due(self, batch: Batch) -> int:
        if self.batch_seconds <= 0:
            return len(batch.lines)
        share = (self._clock() - batch.began) / self.batch_seconds
        return min(len(batch.lines), int(len(batch.lines) * share))

    def _work(self, line: Line, headers: Mapping[str, str]) -> None:
        model = line.body.get("model")
        hit = self._faults.match(line.wire.name, model if isinstance(model, str) else "", {})
        try:
            if FaultKind.STATUS in hit:
                raise status_error(line.wire.name, hit[FaultKind.STATUS])
            reply = line.wire.prepare(line.body, orjson.dumps(line.body), headers)
        except WireError as error:
            line.error = error
            return
        line.answer = reply.plain(FaultKind.NO_USAGE not in hit)
        self._bill.add(line.wire.name, reply.model, reply.usage, reply.usage.output_tokens, batch=True)
        self.charged[line.wire.name, line.custom_id] += 1


def new_id(prefix: str) -> str:
    return f"{prefix}{random.getrandbits(112):028x}"
