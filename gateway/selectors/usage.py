"""What was asked, answered and spent in a window, counted from the ledger's rows.

Every function reads only completions whose `created_at` lies in the window, through its index. An amount counts in the
window in which its completion began.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from django.db.models import Avg, Case, Count, F, Q, QuerySet, Sum, When

from gateway.engine.errors import BudgetExceeded, ModelNotFound, NotAllowed, NotAuthenticated, RateLimited
from gateway.engine.words import Billing, CompletionStatus, FailureKind
from gateway.models.completion import Completion
from gateway.selectors.windows import TimeWindow

T = TypeVar("T")
ZERO_USD = Decimal(0)

# What makes a request without an answer the client's own doing, or a limit of ours that it ran into. Everything else
# counts against the service, also what a provider said of us with a 4xx: its 429, a spent quota, an unknown model.
# With these statuses we and the providers say that the request itself can't be used.
_CLIENT_STATUSES = (400, 405, 413, 422)
_CLIENT_CODES = tuple(
    kind.value for kind in (FailureKind.INVALID_REQUEST, FailureKind.CONTEXT_TOO_LONG, FailureKind.CONTENT_POLICY)
)
# Providers say these as well, and mean us: they are the client's only where no provider was asked.
_OWN_REFUSALS = (NotAuthenticated.code, NotAllowed.code, ModelNotFound.code, RateLimited.code)

_ANSWERED = Q(status=CompletionStatus.ANSWERED)
_CLIENTS_OWN = (
    Q(http_status__in=_CLIENT_STATUSES)
    | Q(http_status__lt=500, error_code__in=_CLIENT_CODES)
    | Q(attempt_count=0, error_code__in=_OWN_REFUSALS)
    | Q(error_code=BudgetExceeded.code, http_status=BudgetExceeded.status)
)
_TURNED_AWAY = Q(status=CompletionStatus.REFUSED)  # before it began: neither a completion nor spend
_REFUSED = _TURNED_AWAY | (Q(status=CompletionStatus.FAILED) & _CLIENTS_OWN)
FAILED = Q(status=CompletionStatus.UNKNOWN) | (Q(status=CompletionStatus.FAILED) & ~_CLIENTS_OWN)
_FELL_BACK = Q(fell_back=True) & ~Q(status=CompletionStatus.PENDING)

# How long a client waited: a plain answer's whole time, a stream's time to its first content.
_RESPONSE_MS = Case(When(stream=True, then=F("first_content_ms")), default=F("latency_ms"))


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """Counts, amounts and mean times of the completions that began in a window.

    `failed` are failures of ours or of providers, and orphans of a crash; `refused` are the client's own errors and the
    limits it ran into. `uncertain_usd` is the part of `cost_usd` that no provider reported: upper bounds and orphans.
    Means are None without an answer.
    """

    completions: int
    answered: int
    failed: int
    refused: int
    cancelled: int
    pending: int
    fell_back: int
    fell_back_answered: int
    cost_usd: Decimal
    uncertain_usd: Decimal
    input_tokens: int
    output_tokens: int
    mean_response_ms: float | None
    mean_first_content_ms: float | None

    @property
    def error_share(self) -> float | None:
        """Failed ÷ (answered + failed), or None when there was neither."""
        return share(self.failed, self.answered + self.failed)

    @property
    def fallback_success(self) -> float | None:
        return share(self.fell_back_answered, self.fell_back)


@dataclass(frozen=True, slots=True)
class Spend:
    cost_usd: Decimal
    completions: int


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def usage_summary(*, window: TimeWindow) -> UsageSummary:
    """One query."""
    row = completions_within(window).aggregate(
        of_completions=Count("id", filter=~_TURNED_AWAY),
        of_answered=Count("id", filter=_ANSWERED),
        of_failed=Count("id", filter=FAILED),
        of_refused=Count("id", filter=_REFUSED),
        of_cancelled=Count("id", filter=Q(status=CompletionStatus.CANCELLED)),
        of_pending=Count("id", filter=Q(status=CompletionStatus.PENDING)),
        of_fell_back=Count("id", filter=_FELL_BACK),
        of_fell_back_answered=Count("id", filter=_FELL_BACK & _ANSWERED),
        of_cost_usd=Sum("cost_usd", default=ZERO_USD),
        of_uncertain_usd=Sum("cost_usd", filter=Q(billing__in=(Billing.ESTIMATED, Billing.UNKNOWN)), default=ZERO_USD),
        of_input_tokens=Sum("input_tokens", default=0),
        of_output_tokens=Sum("output_tokens", default=0),
        of_mean_response_ms=Avg(_RESPONSE_MS, filter=_ANSWERED),
        of_mean_first_content_ms=Avg("first_content_ms", filter=_ANSWERED & Q(stream=True)),
    )
    return _without_prefix(UsageSummary, row)


def spend_total(*, window: TimeWindow) -> Spend:
    """One query."""
    row = completions_within(window).aggregate(
        of_cost_usd=Sum("cost_usd", default=ZERO_USD), of_completions=Count("id", filter=~_TURNED_AWAY)
    )
    return _without_prefix(Spend, row)


def completions_within(window: TimeWindow) -> QuerySet[Completion]:
    return Completion.objects.filter(created_at__gte=window.start, created_at__lt=window.end)


def _without_prefix(make: type[T], row: dict[str, Any]) -> T:
    """Aggregates can't bear a column's own name, so they are asked for with `of_` before it."""
    return make(**{name.removeprefix("of_"): value for name, value in row.items()})
