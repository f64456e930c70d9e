"""What a log of requests may be narrowed to, as conditions on completions.

`reached` is what an index can walk along; `sifted` is looked up row by row among what was reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, Q

from gateway.engine.words import AttemptOutcome, CompletionStatus
from gateway.models import Attempt, Completion, Team
from gateway.selectors.conversations import NO_TEAM_ID
from gateway.selectors.outcomes import ANSWERED, CANCELLED, FAILED, IN_TROUBLE, PENDING, REFUSED, TURNED_AWAY

# Two thirds of an id's time: what begins alike was asked within about a minute.
SHORTEST_PREFIX = 12
MOST_OF_A_PREFIX = 500
DECIDED = "any"  # whatever was decided about the cheap model


class Outcome(StrEnum):
    """What became of a request, in the words of reports (`gateway.selectors.outcomes`).

    `BEGUN` is every one but the requests that were turned away before they began; `SETTLED` those of them that have
    ended: what amounts are sums of.
    """

    ANSWERED = "answered"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    PENDING = "pending"
    BEGUN = "begun"
    SETTLED = "settled"


_OUTCOMES = {
    Outcome.ANSWERED: ANSWERED,
    Outcome.FAILED: FAILED,
    Outcome.REFUSED: REFUSED,
    Outcome.CANCELLED: CANCELLED,
    Outcome.UNKNOWN: Q(status=CompletionStatus.UNKNOWN),
    Outcome.PENDING: PENDING,
    Outcome.BEGUN: ~TURNED_AWAY,
    Outcome.SETTLED: ~(TURNED_AWAY | PENDING),
}
_WITHOUT_AN_ANSWER = frozenset(Outcome) - {Outcome.ANSWERED, Outcome.PENDING, Outcome.BEGUN, Outcome.SETTLED}


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """None and "": whatever it is. Names are those of then; the team "" is that of keys without one.

    `start` is included, `end` not; neither holds where an `id` is looked for, which is whole, or begins with at least
    `SHORTEST_PREFIX` characters. `provider` and `model` are those that answered, or were asked last; `tried_…` those
    that were asked at any time: one attempt at both, where both are given. `simple` is what was decided about the
    route's cheap model, or `DECIDED`. `drill`: whether any fire drill touched it, or which one did.
    """

    start: datetime | None = None
    end: datetime | None = None
    team: str | None = None
    key: str = ""
    conversation: str = ""
    route: str = ""
    requested_model: str = ""
    provider: str = ""
    model: str = ""
    tried_provider: str = ""
    tried_model: str = ""
    simple: str = ""
    outcome: Outcome | None = None
    error_code: str = ""
    fallback: bool | None = None
    cache: str = ""
    stream: bool | None = None
    drill: bool | int | None = None
    min_cost_usd: Decimal | None = None
    min_latency_ms: int | None = None
    id: str = ""

    def reached(self) -> Q:
        """Two queries at most, none for what is usual."""
        if self.id:
            return _of_ids(self.id)
        reached = Q() if self.start is None else Q(created_at__gte=self.start)
        if self.end is not None:
            reached &= Q(created_at__lt=self.end)
        if self.conversation:
            teams = [NO_TEAM_ID, *Team.objects.values_list("pk", flat=True)]
            reached &= Q(team_id__in=teams, conversation=self.conversation)
        elif self.error_code or self.outcome in _WITHOUT_AN_ANSWER:
            reached &= IN_TROUBLE
        elif self.fallback:
            reached &= Q(fell_back=True)
        return reached

    def sifted(self) -> Q:
        """Empty where everything that is reached is wanted."""
        equal: dict[str, Any] = {
            "api_key_name": self.key,
            "route_name": self.route,
            "requested_model": self.requested_model,
            "provider": self.provider,
            "model": self.model,
            "error_code": self.error_code,
            "cache": self.cache,
        }
        sifted = Q(**{column: value for column, value in equal.items() if value})
        exact = {
            "team_name": self.team,
            "fell_back": self.fallback,
            "stream": self.stream,
            "cost_usd__gte": self.min_cost_usd,
            "latency_ms__gte": self.min_latency_ms,
        }
        sifted &= Q(**{column: value for column, value in exact.items() if value is not None})
        sifted &= Q() if self.outcome is None else _OUTCOMES[self.outcome]
        return sifted & self._tried() & self._decided() & self._of_drills()

    def _tried(self) -> Q:
        names = {"provider": self.tried_provider, "model": self.tried_model}
        asked = {column: name for column, name in names.items() if name}
        if not asked:
            return Q()
        attempts = Attempt.objects.filter(completion_id=OuterRef("pk"), **asked)
        return Q(Exists(attempts.exclude(outcome=AttemptOutcome.SKIPPED.value)))

    def _decided(self) -> Q:
        if self.simple == DECIDED:
            return Q(decision__has_key="simple")
        return Q(decision__simple__choice=self.simple) if self.simple else Q()

    def _of_drills(self) -> Q:
        """Several drills may touch one request, whose row names the first of them alone."""
        if self.drill is None:
            return Q()
        if isinstance(self.drill, bool):
            return Q(drill_id__isnull=not self.drill)
        return Q(pk__in=Attempt.objects.filter(drill_id=self.drill).values("completion_id"))


def _of_ids(text: str) -> Q:
    """The request of this id, and the newest of those whose ids begin so. One query at most."""
    if len(text) < SHORTEST_PREFIX:
        return Q(pk=text)
    begins = Q(pk__startswith=text)
    if connection.vendor == "sqlite":  # whose LIKE doesn't walk along a key; PostgreSQL's does
        begins = Q(pk__gte=text, pk__lt=f"{text}\U0010ffff")
    rows = Completion.objects.filter(begins).order_by("-pk").values_list("pk", flat=True)
    return Q(pk__in=list(rows[:MOST_OF_A_PREFIX]))
