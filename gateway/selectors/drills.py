"""Fire drills as people look at them: what runs, what ran, and what each of them showed. All from rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import ceil

from django.db.models import Count, Q, QuerySet, Sum

from gateway.engine.words import CompletionStatus
from gateway.models import Attempt, BreakerTransition, Completion, Drill, Fallback
from gateway.selectors.outcomes import FAILED
from gateway.selectors.usage_cells import share

ZERO_USD = Decimal(0)
# Fewer answers than this on either side say nothing about how much slower a drill made them.
FEWEST_ANSWERS = 20
# How many answers of each side are looked at, the newest.
MOST_ANSWERS = 10_000
MOST_TRANSITIONS = 200


@dataclass(frozen=True, slots=True)
class DrillLine:
    """One drill. `ended_at` is its end, be that past or still to come; `keys` are names, none means every key."""

    id: int
    provider: str | None
    route: str | None
    subject: str
    fault: str
    fault_words: str
    share_percent: int
    keys: tuple[str, ...]
    note: str
    alerts: bool
    started_by: str
    started_at: datetime
    ends_at: datetime
    stopped_at: datetime | None
    stopped_by: str
    ended_at: datetime
    running: bool


@dataclass(frozen=True, slots=True)
class Latency:
    """Of answered requests in milliseconds: a plain answer's whole time, a stream's time to its first content."""

    answers: int
    mean_ms: float | None
    p95_ms: int | None


@dataclass(frozen=True, slots=True)
class AddedLatency:
    """Drilled beside undrilled answers of the same time and routes; the differences are None when there are too few."""

    drilled: Latency
    undrilled: Latency

    @property
    def enough(self) -> bool:
        return min(self.drilled.answers, self.undrilled.answers) >= FEWEST_ANSWERS

    @property
    def mean_ms(self) -> float | None:
        drilled, undrilled = self.drilled.mean_ms, self.undrilled.mean_ms
        return drilled - undrilled if self.enough and drilled is not None and undrilled is not None else None

    @property
    def p95_ms(self) -> int | None:
        drilled, undrilled = self.drilled.p95_ms, self.undrilled.p95_ms
        return drilled - undrilled if self.enough and drilled is not None and undrilled is not None else None


@dataclass(frozen=True, slots=True)
class Transition:
    at: datetime
    provider: str
    from_state: str
    to_state: str
    cause: str
    request_id: str


@dataclass(frozen=True, slots=True)
class DrillReport:
    """What a drill did to the requests it touched.

    `rescued` were answered by another target than the first, `retried` by a drilled one after all; `failed` count as
    they would in the availability. `faults` counts injections by kind, `held_back` are the attempts that the drill's
    breaker spared. `extra_usd` is what its fallbacks cost more, `spoiled_usd` what the answers it spoiled were charged
    (which `extra_usd` holds already where a fallback followed).
    """

    drill: DrillLine
    affected: int
    answered: int
    rescued: int
    failed: int
    cancelled: int
    pending: int
    faults: tuple[tuple[str, int], ...]
    held_back: int
    extra_usd: Decimal
    spoiled_usd: Decimal
    latency: AddedLatency
    transitions: tuple[Transition, ...]

    @property
    def rescued_percent(self) -> float | None:
        """Of the touched requests that needed another target and have ended for their client, how many got an answer;
        None without any."""
        value = share(self.rescued, self.rescued + self.failed)
        return None if value is None else 100 * value


def drill_list(*, now: datetime, limit: int) -> tuple[DrillLine, ...]:
    """Running ones first, then the newest. Two queries."""
    return tuple(drill_line(row, now) for row in _ordered(now)[:limit])


def drills_running(*, now: datetime) -> tuple[DrillLine, ...]:
    rows = _related(Drill.objects.running(now)).order_by("-starts_at")
    return tuple(drill_line(row, now) for row in rows)


def drills_ended(*, after: datetime, until: datetime) -> tuple[DrillLine, ...]:
    """Drills that came to their end, by the clock or by hand, after `after` and not later than `until`."""
    return tuple(drill_line(row, until) for row in _related(Drill.objects.ended_between(after, until)))


def drill_report(*, drill_id: int, now: datetime) -> DrillReport | None:
    """None if there is no such drill. Nine queries."""
    row = _related(Drill.objects.filter(pk=drill_id)).first()
    if row is None:
        return None
    attempts = Attempt.objects.filter(drill_id=drill_id)
    touched = Completion.objects.filter(pk__in=attempts.values("completion_id"))
    counts = touched.aggregate(
        affected=Count("pk"),
        answered=Count("pk", filter=Q(status=CompletionStatus.ANSWERED)),
        rescued=Count("pk", filter=Q(status=CompletionStatus.ANSWERED, fell_back=True)),
        failed=Count("pk", filter=FAILED),
        cancelled=Count("pk", filter=Q(status=CompletionStatus.CANCELLED)),
        pending=Count("pk", filter=Q(status=CompletionStatus.PENDING)),
    )
    return DrillReport(
        drill=drill_line(row, now),
        **counts,
        faults=_faults(attempts),
        held_back=attempts.filter(fault="").count(),
        extra_usd=_extra_usd(touched),
        spoiled_usd=attempts.aggregate(total=Sum("cost_usd", default=ZERO_USD))["total"],
        latency=AddedLatency(_latency(touched), _latency(_untouched(row, touched))),
        transitions=_transitions(drill_id),
    )


def drill_line(row: Drill, now: datetime) -> DrillLine:
    return DrillLine(
        id=row.pk,
        provider=row.provider.name if row.provider is not None else None,
        route=row.route.name if row.route is not None else None,
        subject=row.subject,
        fault=row.fault,
        fault_words=row.get_fault_display(),
        share_percent=row.share_percent,
        keys=tuple(sorted(key.name for key in row.keys.all())),
        note=row.note,
        alerts=row.alerts,
        started_by=row.started_by,
        started_at=row.starts_at,
        ends_at=row.ends_at,
        stopped_at=row.stopped_at,
        stopped_by=row.stopped_by,
        ended_at=row.ends,
        running=row.running(now),
    )


def running_first(rows: QuerySet[Drill], now: datetime) -> QuerySet[Drill]:
    over = Q(stopped_at__isnull=False) | Q(ends_at__lte=now)
    return rows.alias(over=over).order_by("over", "-starts_at", "-pk")


def _ordered(now: datetime) -> QuerySet[Drill]:
    return running_first(_related(Drill.objects.all()), now)


def _related(rows: QuerySet[Drill]) -> QuerySet[Drill]:
    return rows.select_related("provider", "route").prefetch_related("keys")


def _faults(attempts: QuerySet[Attempt]) -> tuple[tuple[str, int], ...]:
    rows = attempts.exclude(fault="").values("fault").annotate(count=Count("pk")).order_by("-count", "fault")
    return tuple((row["fault"], row["count"]) for row in rows)


def _extra_usd(touched: QuerySet[Completion]) -> Decimal:
    steps = Fallback.objects.filter(completion__in=touched.values("pk"))
    total: Decimal = steps.aggregate(total=Sum("extra_cost_usd", default=ZERO_USD))["total"]
    return total


def _untouched(row: Drill, touched: QuerySet[Completion]) -> QuerySet[Completion]:
    """What ran at the same time on the routes that the drill touched."""
    began = Completion.objects.filter(created_at__gte=row.starts_at, created_at__lt=row.ends)
    return began.filter(drill_id__isnull=True, route_id__in=touched.values("route_id"))


def _latency(completions: QuerySet[Completion]) -> Latency:
    rows = completions.filter(status=CompletionStatus.ANSWERED).order_by("-created_at")
    told = rows.values_list("stream", "latency_ms", "first_content_ms")[:MOST_ANSWERS]
    waited = sorted(ms for stream, whole, first in told if (ms := first if stream else whole) is not None)
    if not waited:
        return Latency(0, None, None)
    return Latency(len(waited), sum(waited) / len(waited), waited[ceil(len(waited) * 0.95) - 1])


def _transitions(drill_id: int) -> tuple[Transition, ...]:
    rows = BreakerTransition.objects.filter(drill_id=drill_id).order_by("at", "pk")[:MOST_TRANSITIONS]
    return tuple(
        Transition(row.at, row.provider, row.from_state, row.to_state, row.cause, row.request_id) for row in rows
    )
