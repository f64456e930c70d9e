"""Faults on demand: which requests they hit, how often, for how long, and what they do."""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

MAX_FAULTS = 1000
TAG = "x-simulator-fault"


class FaultKind(StrEnum):
    """What goes wrong. Seconds and token counts are fields of `Fault`."""

    STATUS = "status"  # an error status with the provider's body
    HANG = "hang"  # never answers
    RESET = "reset"  # TCP reset before any header
    SLOW_HEADERS = "slow_headers"  # `seconds` before the status line
    SLOW_FIRST_TOKEN = "slow_first_token"  # noqa: S105  # headers at once, `seconds` before the first token
    SLOW_TOKENS = "slow_tokens"  # `seconds` before each token
    CUT = "cut"  # connection closed after `after_tokens`; a plain answer stops half way
    STALL = "stall"  # silence after `after_tokens`, connection open
    MALFORMED_CHUNK = "malformed_chunk"  # one unreadable event after `after_tokens`; a plain body is broken JSON
    ERROR_EVENT = "error_event"  # an error event after `after_tokens`, then the end (streams only)
    EMPTY_BODY = "empty_body"  # 200 and nothing
    WRONG_CONTENT_TYPE = "wrong_content_type"  # 200 and an HTML page
    NO_TERMINATOR = "no_terminator"  # a stream without its last event, with `drop_finish` without its finish reason
    NO_USAGE = "no_usage"  # the answer without its token counts
    BATCH_EXPIRES = "batch_expires"  # a batch made now expires after `after_lines` of its lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault and the requests it hits; a matcher left out matches everything.

    ``tag`` is compared with the request's ``x-simulator-fault`` header or metadata entry; ``header`` maps
    header names to the values they must have. Of the matching requests ``share`` (0..1) are hit, at most
    ``times`` of them, for ``for_seconds`` after it was added. ``billed`` overrides whether a fault of a kind
    that normally goes unbilled (status, reset, empty body, wrong content type) is charged in full all the
    same. ``error_type``, ``code`` and ``message`` replace the fields of a ``status`` or ``error_event``'s
    error body. Raises ValueError for impossible values.
    """

    kind: FaultKind
    provider: str | None = None
    model: str | None = None
    tag: str | None = None
    header: Mapping[str, str] | None = None
    share: float = 1.0
    times: int | None = None
    for_seconds: float | None = None
    status: int = 503
    retry_after: str | None = None
    error_type: str | None = None
    code: str | None = None
    message: str | None = None
    seconds: float = 0.0
    after_tokens: int = 0
    after_lines: int = 0
    drop_finish: bool = False
    billed: bool = False

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ValueError(problem)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Fault":
        """A fault from JSON. Raises ValueError naming what is wrong and what would be right."""
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(data) - set(known))
        if unknown:
            raise ValueError(f"unknown fault fields {unknown}; known are {known}")
        if data.get("kind") not in list(FaultKind):
            raise ValueError(f"kind must be one of {[str(kind) for kind in FaultKind]}")
        values = dict(data, kind=FaultKind(data["kind"]))
        if isinstance(values.get("retry_after"), int | float):
            values["retry_after"] = str(values["retry_after"])
        return cls(**values)

    def hits(self, provider: str, model: str, tag: str | None, headers: Mapping[str, str]) -> bool:
        return (
            self.provider in (None, provider)
            and self.model in (None, model)
            and self.tag in (None, tag)
            and all(headers.get(name.lower()) == value for name, value in (self.header or {}).items())
        )


_NUMBERS = {"share": (0, 1), "seconds": (0, None), "for_seconds": (0, None)}
_INTEGERS = {"times": (0, None), "after_tokens": (0, None), "after_lines": (0, None), "status": (400, 599)}
_STRINGS = ("provider", "model", "tag", "retry_after", "error_type", "code", "message")


def _problem(fault: Fault) -> str | None:
    for name, bounds in {**_NUMBERS, **_INTEGERS}.items():
        problem = _number_problem(name, getattr(fault, name), bounds, integer=name in _INTEGERS)
        if problem:
            return problem
    for name in _STRINGS:
        if not isinstance(getattr(fault, name), str | None):
            return f"{name} must be a string"
    if fault.provider not in (None, "openai", "anthropic"):
        return f"provider must be openai or anthropic, not {fault.provider!r}"
    if fault.header is not None and not isinstance(fault.header, Mapping):
        return "header must be an object of header names and values"
    return None


def _number_problem(name: str, value: Any, bounds: tuple[int, int | None], *, integer: bool) -> str | None:
    if value is None and name in ("times", "for_seconds"):
        return None
    if isinstance(value, bool) or not isinstance(value, int if integer else int | float):
        return f"{name} must be {'a whole number' if integer else 'a number'}"
    low, high = bounds
    if value < low or (high is not None and value > high):
        return f"{name} must be {f'{low} to {high}' if high is not None else f'at least {low}'}, not {value}"
    return None


@dataclass(slots=True)
class _Entry:
    fault: Fault
    expires: float | None
    hits: int = 0


class FaultBook:
    """The faults in force; may be changed from another thread than the one that serves."""

    def __init__(self, *, clock: Callable[[], float], seed: int = 0) -> None:
        self._clock = clock
        self._random = random.Random(seed)
        self._seed = seed
        self._entries: dict[int, _Entry] = {}
        self._next_id = 1
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> int:
        """Put a fault in force and return its id. Raises ValueError when the book is full."""
        with self._lock:
            if len(self._entries) >= MAX_FAULTS:
                raise ValueError(f"at most {MAX_FAULTS} faults at a time; delete some first")
            expires = None if fault.for_seconds is None else self._clock() + fault.for_seconds
            fault_id = self._next_id
            self._next_id += 1
            self._entries[fault_id] = _Entry(fault, expires)
            return fault_id

    def remove(self, fault_id: int) -> bool:
        """Take one fault out; whether it was there."""
        with self._lock:
            return self._entries.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Take all faults out and begin the draw of shares anew."""
        with self._lock:
            self._entries.clear()
            self._random.seed(self._seed)

    def list(self) -> list[dict[str, Any]]:
        """The faults in force with their ids and how often each has hit."""
        with self._lock:
            self._drop_expired()
            return [
                {"id": fault_id, "hits": entry.hits, **asdict(entry.fault)} for fault_id, entry in self._entries.items()
            ]

    def match(
        self, provider: str, model: str, headers: Mapping[str, str], tag: str | None = None
    ) -> dict[FaultKind, Fault]:
        """The faults that hit this request, the oldest of each kind."""
        if not self._entries:
            return {}
        with self._lock:
            self._drop_expired()
            wanted = headers.get(TAG, tag)
            hit: dict[FaultKind, Fault] = {}
            for entry in self._entries.values():
                if entry.fault.kind not in hit and self._hits(entry, provider, model, wanted, headers):
                    entry.hits += 1
                    hit[entry.fault.kind] = entry.fault
            return hit

    def _hits(self, entry: _Entry, provider: str, model: str, tag: str | None, headers: Mapping[str, str]) -> bool:
        fault = entry.fault
        if fault.times is not None and entry.hits >= fault.times:
            return False
        if not fault.hits(provider, model, tag, headers):
            return False
        return fault.share >= 1 or self._random.random() < fault.share

    def _drop_expired(self) -> None:
        now = self._clock()
        expired = [i for i, e in self._entries.items() if e.expires is not None and now >= e.expires]
        for fault_id in expired:
            del self._entries[fault_id]
