"""What the rows tell of one provider: its breaker's day, its traffic, its last failure, its health probes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.db.models.expressions import RawSQL

from gateway.engine.words import AttemptOutcome, BreakerState
from gateway.models import Attempt, BreakerStatus, BreakerTransition, HealthProbe

# A page of numbers must open at once however much traffic there was; where this is less than all of it, it says so.
ATTEMPTS_READ = 5_000  # of one provider
ATTEMPTS_SIFTED = 20_000  # of all providers
# Attempts are written as their completions end: what lies before the sifted ones is judged by a few, lest a long stream
# among them tell of a time that others are past.
_NEIGHBOURS = 100
# A literal: SQLite uses an index of some rows only where it reads their condition word for word.
_FAILED = Q(outcome=RawSQL("'failed'", ()))
TRANSITIONS_READ = 500
PROBES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of time in one state. `cause` led to it; "" where it began before the window."""

    start: datetime
    end: datetime
    state: str
    cause: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Attempts that were sent since `since` and have ended. Percentiles and the share are None without any.

    `whole` is False where only the newest were read: `ATTEMPTS_READ` of them, or those among the newest
    `ATTEMPTS_SIFTED` of all providers. Latencies are those of successes.
    """

    hours: int
    since: datetime
    attempts: int
    failed: int
    p50_ms: int | None
    p95_ms: int | None
    whole: bool

    @property
    def error_share(self) -> float | None:
        return self.failed / self.attempts if self.attempts else None


@dataclass(frozen=True, slots=True)
class LastFailure:
    at: datetime
    request_id: str
    model: str
    failure: str
    status: int | None
    message: str


def breaker_timeline(*, provider: str, now: datetime, hours: int) -> tuple[Band, ...]:
    """The states that held for requests, oldest first; orders of operations included. Two queries."""
    start = now - timedelta(hours=hours)
    real = BreakerTransition.objects.filter(provider=provider, drill_id=None)
    rows = list(real.filter(at__gt=start, at__lte=now).order_by("-at", "-pk")[:TRANSITIONS_READ])[::-1]
    before = real.filter(at__lte=start).order_by("-at", "-pk").first()
    state = rows[0].from_state if rows else before.to_state if before else BreakerState.CLOSED.value
    begins = rows[0].at if len(rows) == TRANSITIONS_READ else start
    bands = [Band(begins, now, state)]
    for row in rows:
        last = bands.pop()
        bands += [
            Band(last.start, row.at, last.state, last.cause, last.request_id),
            Band(row.at, now, row.to_state, row.cause, row.request_id),
        ]
    return tuple(bands)


def breaker_since(*, provider: str, state: str) -> datetime | None:
    """Since when requests are treated as `state` says; None where no row tells. At most two queries."""
    moved = BreakerTransition.objects.filter(provider=provider, drill_id=None, to_state=state).exclude(from_state=state)
    row = moved.order_by("-at", "-pk").first()
    if row is not None:
        return row.at
    status = BreakerStatus.objects.filter(provider=provider, state=state).first()
    return status.since if status is not None else None


def provider_traffic(*, provider: str, now: datetime, hours: tuple[int, ...]) -> tuple[Traffic, ...]:
    """Per window, from the newest attempts. Three queries, which walk along ids: no index of times is kept for them."""
    newest = Attempt.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    judged = (AttemptOutcome.SUCCEEDED.value, AttemptOutcome.FAILED.value)
    since = now - timedelta(hours=max(hours))
    sifted = Attempt.objects.filter(pk__gt=newest - ATTEMPTS_SIFTED, started_at__gte=since, started_at__lte=now)
    found = sifted.filter(provider=provider, outcome__in=judged).order_by("-pk")
    rows = list(found.values_list("started_at", "outcome", "latency_ms")[:ATTEMPTS_READ])
    oldest = rows[-1][0] if len(rows) == ATTEMPTS_READ else _sifted_back_to(newest)
    return tuple(_traffic(rows, one, now - timedelta(hours=one), oldest) for one in hours)


def _sifted_back_to(newest: int) -> datetime | None:
    """A time from which on every attempt was looked at; None where all were."""
    before = Attempt.objects.filter(pk__lte=newest - ATTEMPTS_SIFTED).order_by("-pk")
    return max(before.values_list("started_at", flat=True)[:_NEIGHBOURS], default=None)


def _traffic(rows: list[tuple[datetime, str, int]], hours: int, since: datetime, oldest: datetime | None) -> Traffic:
    inside = [(outcome, latency_ms) for at, outcome, latency_ms in rows if at >= since]
    latencies = sorted(latency_ms for outcome, latency_ms in inside if outcome == AttemptOutcome.SUCCEEDED)
    failed = sum(outcome == AttemptOutcome.FAILED for outcome, _ in inside)
    whole = oldest is None or oldest < since
    return Traffic(hours, since, len(inside), failed, _at(latencies, 50), _at(latencies, 95), whole)


def _at(ordered: list[int], percent: int) -> int | None:
    """The nearest-rank percentile."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None


def last_failure(*, provider: str, now: datetime) -> LastFailure | None:
    """The newest failed attempt of the last 30 days. One query, along an index of failures alone."""
    recent = Attempt.objects.filter(_FAILED, provider=provider, started_at__gte=now - timedelta(days=30))
    row = recent.order_by("-started_at", "-number").first()
    if row is None:
        return None
    return LastFailure(row.started_at, str(row.completion_id), row.model, row.failure, row.status, row.message)


def health_probes(*, provider: str) -> tuple[HealthProbe, ...]:
    """The newest first. One query."""
    return tuple(HealthProbe.objects.filter(provider=provider).order_by("-at", "-pk")[:PROBES_SHOWN])
