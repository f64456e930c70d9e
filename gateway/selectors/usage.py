"""What was asked, answered and spent in a window, counted from the ledger's rows.

Every function reads only completions whose `created_at` lies in the window, through its index. An amount counts in the
window in which its completion began.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import QuerySet

from gateway.models.completion import Completion
from gateway.selectors.outcomes import PENDING
from gateway.selectors.usage_cells import EVERYTHING, UsageFilter
from gateway.selectors.usage_cells import ZERO_USD as ZERO_USD
from gateway.selectors.usage_cells import share as share
from gateway.selectors.usage_read import usage_over
from gateway.selectors.windows import TimeWindow


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


def usage_summary(*, window: TimeWindow) -> UsageSummary:
    """At most seven queries."""
    usage = usage_over(window)
    pending = pending_within(window)
    return UsageSummary(
        completions=usage.completions + pending,
        answered=usage.answered,
        failed=usage.failed,
        refused=usage.refused,
        cancelled=usage.cancelled,
        pending=pending,
        fell_back=usage.fell_back,
        fell_back_answered=usage.fell_back_answered,
        cost_usd=usage.cost_usd,
        uncertain_usd=usage.uncertain_usd,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        mean_response_ms=usage.mean_response_ms,
        mean_first_content_ms=usage.mean_first_content_ms,
    )


def spend_total(*, window: TimeWindow) -> Spend:
    """At most six queries."""
    usage = usage_over(window)
    return Spend(usage.cost_usd, usage.completions)


def pending_within(window: TimeWindow, *, where: UsageFilter = EVERYTHING) -> int:
    """How many completions that began in the window are still under way. One query."""
    return completions_within(window).filter(PENDING, where.of_completions()).count()


def completions_within(window: TimeWindow) -> QuerySet[Completion]:
    return Completion.objects.filter(created_at__gte=window.start, created_at__lt=window.end)
