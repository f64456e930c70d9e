"""The sixteen ways in which a provider fails an agent, and what must come of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.simulator.faults import Fault, FaultKind
from tests.chaos.clients import Sdk
from tests.chaos.pace import Pace
from tests.gateway_process import CLAUDE, GPT_4_TURBO

OUTAGE = 15  # the number of the case that is a story of a minute and more
OUTAGE_SECONDS = 60.0
OUTAGE_COOLDOWN_SECONDS = 10.0
TAG = "x-simulator-fault"
NO_PREFILL = "This model does not support assistant message prefill. The conversation must end with a user message."


@dataclass(frozen=True, slots=True)
class Case:
    """One fault and what must be seen from outside. Seconds are real ones; a `Pace` scales them.

    `calls` are those at the primary and at the fallback. `status` is the client's error where a whole answer would be
    wrong; `parts` says that the answer is of two providers.
    """

    number: int
    text: str
    primary: Callable[[Pace], Fault]
    calls: tuple[int, int]
    within_seconds: float
    not_before_seconds: float = 0.0
    fallback: Fault | None = None
    status: int | None = None
    parts: bool = False


def _fault(kind: FaultKind, **fields: Any) -> Callable[[Pace], Fault]:
    return lambda pace: Fault(kind=kind, **fields)


def _slow_first_token(pace: Pace) -> Fault:
    return Fault(kind=FaultKind.SLOW_FIRST_TOKEN, seconds=pace.scaled(20))


def _retry_after(pace: Pace) -> Fault:
    return Fault(kind=FaultKind.STATUS, status=429, retry_after=f"{pace.scaled(1):g}", times=1)


_REFUSES_PREFILL = Fault(kind=FaultKind.STATUS, status=400, message=NO_PREFILL, times=1)
_BACKOFF = 0.5 + 1 + 2  # three retries, each wait 0.8 to 1.2 times that
_WAITS = (0.8 * _BACKOFF, 1.2 * _BACKOFF + 1)

CASES = (
    Case(1, "429 with Retry-After, once", _retry_after, (2, 0), 2, 1),
    Case(2, "429 for ever", _fault(FaultKind.STATUS, status=429), (4, 1), _WAITS[1], _WAITS[0]),
    Case(3, "500 once", _fault(FaultKind.STATUS, status=500, times=1), (2, 0), 1.6, 0.4),
    Case(4, "503 for ever", _fault(FaultKind.STATUS, status=503), (4, 1), _WAITS[1], _WAITS[0]),
    Case(5, "reset before headers", _fault(FaultKind.RESET), (4, 1), _WAITS[1], _WAITS[0]),
    Case(6, "no response at all", _fault(FaultKind.HANG), (1, 1), 14, 12),
    Case(7, "first token after 20 s", _slow_first_token, (1, 1), 14, 12),
    Case(8, "cut after 40 of 60 tokens", _fault(FaultKind.CUT, after_tokens=40), (1, 1), 1.5, parts=True),
    Case(9, "stall after 40 of 60 tokens", _fault(FaultKind.STALL, after_tokens=40), (1, 1), 17, 15, parts=True),
    Case(10, "a malformed chunk", _fault(FaultKind.MALFORMED_CHUNK, after_tokens=30), (1, 0), 1.5),
    Case(11, "no terminator", _fault(FaultKind.NO_TERMINATOR), (1, 0), 1.5),
    Case(
        12,
        "context too long",
        _fault(FaultKind.STATUS, status=400, error_type="context_length_exceeded"),
        (1, 1),
        1.5,
    ),
    Case(
        13,
        "refused by content policy",
        _fault(FaultKind.STATUS, status=400, error_type="content_policy_violation"),
        (1, 0),
        1.5,
        status=400,
    ),
    Case(
        14,
        "cut, and the fallback rejects prefill",
        _fault(FaultKind.CUT, after_tokens=40),
        (1, 2),
        1.5,
        fallback=_REFUSES_PREFILL,
        parts=True,
    ),
    Case(OUTAGE, "down 60 s, then back", _fault(FaultKind.STATUS, status=503), (0, 0), _WAITS[1]),
    Case(16, "503, the fallback's model and usage", _fault(FaultKind.STATUS, status=503), (4, 1), _WAITS[1], _WAITS[0]),
)


@dataclass(frozen=True, slots=True)
class Run:
    """A case asked through one SDK. Its two providers are nobody else's, so that cases may run side by side; the tags
    tell their calls apart in the simulator's log."""

    case: Case
    sdk: Sdk

    @property
    def name(self) -> str:
        return f"{self.sdk.value}-{self.case.number}"

    @property
    def primary(self) -> str:
        return f"{self.name}-primary"

    @property
    def fallback(self) -> str:
        return f"{self.name}-fallback"

    def providers(self, simulator_url: str, pace: Pace) -> list[dict[str, Any]]:
        common: dict[str, Any] = {"api_key": "sk-simulated", **pace.patience()}
        if self.case.number == OUTAGE:
            common["breaker"] = {"failure_threshold": 5, "cooldown_seconds": pace.of_outage(OUTAGE_COOLDOWN_SECONDS)}
        made = []
        for name, kind, path in (
            (self.primary, "openai", "/openai/v1"),
            (self.fallback, "anthropic", "/anthropic"),
        ):
            address = {"name": name, "kind": kind, "base_url": simulator_url + path, "extra_headers": {TAG: name}}
            made.append({**common, **address})
        return made

    def route(self) -> dict[str, Any]:
        targets = [
            {"provider": self.primary, "model": GPT_4_TURBO["model"]},
            {"provider": self.fallback, "model": CLAUDE["model"]},
        ]
        return {"name": self.name, "targets": targets}


RUNS = tuple(Run(case, sdk) for sdk in Sdk for case in CASES)
