"""The day of every provider's breaker at once: as many queries for many providers as for one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Max, QuerySet

from gateway.engine.words import BreakerState
from gateway.models import BreakerTransition
from gateway.selectors.provider_page import Band

TRANSITIONS_READ = 2_000


@dataclass(frozen=True, slots=True)
class BreakerDay:
    """The states that held for requests, oldest first, orders of people included; drills have breakers of their own.

    `since` is when the present one began; None: no row tells.
    """

    bands: tuple[Band, ...]
    since: datetime | None


def breaker_days(*, providers: Iterable[str], now: datetime, hours: int) -> Mapping[str, BreakerDay]:
    """By provider. Three queries. In a storm the bands begin with the newest `TRANSITIONS_READ` changes."""
    names, start = list(providers), now - timedelta(hours=hours)
    real = BreakerTransition.objects.filter(provider__in=names, drill_id=None)
    newest = real.filter(at__gt=start, at__lte=now).order_by("-at", "-pk")[:TRANSITIONS_READ]
    inside: dict[str, list[BreakerTransition]] = defaultdict(list)
    for row in reversed(newest):
        inside[row.provider].append(row)
    before = _last_moves(real.filter(at__lte=start).exclude(from_state=F("to_state")))
    return {name: _day(inside[name], before.get(name), start, now) for name in names}


def _last_moves(rows: QuerySet[BreakerTransition]) -> dict[str, BreakerTransition]:
    """The newest row of each provider: ids grow with time."""
    newest = rows.order_by().values("provider").annotate(newest=Max("pk")).values_list("newest", flat=True)
    return {row.provider: row for row in BreakerTransition.objects.filter(pk__in=list(newest))}


def _day(rows: list[BreakerTransition], before: BreakerTransition | None, start: datetime, now: datetime) -> BreakerDay:
    state = rows[0].from_state if rows else before.to_state if before else BreakerState.CLOSED.value
    edges = [start, *(row.at for row in rows), now]
    causes = [("", ""), *((row.cause, row.request_id) for row in rows)]
    states = [state, *(row.to_state for row in rows)]
    bands = tuple(
        Band(begin, end, held, cause, request_id)
        for begin, end, held, (cause, request_id) in zip(edges[:-1], edges[1:], states, causes, strict=True)
    )
    moves = [row.at for row in rows if row.from_state != row.to_state]
    return BreakerDay(bands, moves[-1] if moves else before.at if before else None)
