"""Every request the simulator received, newest last, bounded."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from gateway.simulator.bill import Usage

MAX_ROWS = 100_000
MAX_BODIES = 64
MAX_BODY_BYTES = 256 * 1024

IN_FLIGHT = "in_flight"
FINISHED = "finished"  # the reply, whatever it was, left completely
DISCONNECTED = "disconnected"  # the client left first
BROKEN = "broken"  # a fault ended the reply before its end

# Values worth a test's look that carry no secret; of all other headers only the names are kept.
_KEPT_VALUES = frozenset(
    {
        "anthropic-beta",
        "anthropic-version",
        "content-type",
        "idempotency-key",
        "openai-beta",
        "openai-organization",
        "openai-project",
        "traceparent",
        "tracestate",
        "user-agent",
        "x-simulator-fault",
        "x-stainless-retry-count",
    }
)


@dataclass(slots=True)
class LogRow:
    """One request. Times are seconds; tokens are what was billed, all zero where nothing was."""

    seq: int
    provider: str
    method: str
    path: str
    at: float
    at_monotonic: float
    key_suffix: str = ""
    model: str = ""
    stream: bool = False
    status: int | None = None
    fault: str = ""
    outcome: str = IN_FLIGHT
    ended_monotonic: float | None = None
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    header_names: tuple[str, ...] = ()
    body: bytes | None = field(default=None, repr=False)

    def charge(self, usage: Usage, output_tokens: int) -> None:
        self.input_tokens = usage.input_tokens
        self.cached_input_tokens = usage.cached_input_tokens
        self.cache_write_tokens = usage.cache_write_tokens
        self.output_tokens = output_tokens

    def as_dict(self) -> dict[str, Any]:
        """The row for the control endpoint: everything but the body."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "body"}


class RequestLog:
    """The rows and the number of requests in flight; may be read from another thread than the one that
    serves.
    """

    def __init__(self, *, max_rows: int = MAX_ROWS, max_bodies: int = MAX_BODIES) -> None:
        self._rows: deque[LogRow] = deque(maxlen=max_rows)
        self._with_body: deque[LogRow] = deque()
        self._max_bodies = max_bodies
        self._condition = threading.Condition()
        self._seq = 0
        self.in_flight = 0
        self.max_in_flight = 0

    def open(self, make: Callable[[int], LogRow], headers: Mapping[str, str], body: bytes) -> LogRow:
        """Enter a request; ``make`` gets its number, counted from 1."""
        with self._condition:
            self._seq += 1
            row = make(self._seq)
            row.headers = {name: value for name, value in headers.items() if name in _KEPT_VALUES}
            row.header_names = tuple(headers)
            self._keep_body(row, body)
            self._rows.append(row)
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            self._condition.notify_all()
        return row

    def close(self, row: LogRow, outcome: str, ended_monotonic: float) -> None:
        """Enter a request's end; closing a closed row changes nothing."""
        with self._condition:
            if row.outcome != IN_FLIGHT:
                return
            row.outcome = outcome
            row.ended_monotonic = ended_monotonic
            self.in_flight -= 1
            self._condition.notify_all()

    def rows(self, *, provider: str | None = None, since: int = 0) -> list[LogRow]:
        """Rows numbered above ``since``, oldest first."""
        with self._condition:
            rows = list(self._rows)
        return [row for row in rows if row.seq > since and provider in (None, row.provider)]

    def wait_until(self, condition: Callable[[list[LogRow]], bool], timeout_seconds: float = 5.0) -> bool:
        """Block until the rows satisfy the condition, and return whether they did.

        It is looked at whenever a request begins or ends. Not for the server's own thread.
        """
        with self._condition:
            return self._condition.wait_for(lambda: condition(list(self._rows)), timeout_seconds)

    def wait_idle(self, timeout_seconds: float = 5.0) -> bool:
        """Block until no request is in flight. Not for the server's own thread."""
        with self._condition:
            return self._condition.wait_for(lambda: self.in_flight == 0, timeout_seconds)

    def clear(self) -> None:
        """Forget the rows. Requests in flight stay counted, and numbers go on."""
        with self._condition:
            self._rows.clear()
            self._with_body.clear()
            self.max_in_flight = self.in_flight

    def _keep_body(self, row: LogRow, body: bytes) -> None:
        if not self._max_bodies or len(body) > MAX_BODY_BYTES:
            return
        row.body = body
        self._with_body.append(row)
        if len(self._with_body) > self._max_bodies:
            self._with_body.popleft().body = None

    def __len__(self) -> int:
        return len(self._rows)
