"""Batches as operations look at them: how far each is, what it cost, what it still holds. Contents are not told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum

from gateway.engine.batch import LineOutcome
from gateway.models import Batch, BatchJob, BatchLine
from gateway.selectors.keyset import Cursor

ZERO_USD = Decimal(0)


@dataclass(frozen=True, slots=True)
class BatchSums:
    """Of one batch's lines: how many ended how, what they cost, what is reserved for those under way."""

    outcomes: dict[str, int]
    cost_usd: Decimal = ZERO_USD
    reserved_usd: Decimal = ZERO_USD


@dataclass(frozen=True, slots=True)
class BatchSummary:
    batch: Batch
    sums: BatchSums


@dataclass(frozen=True, slots=True)
class BatchPage:
    """`next` is None on the last one."""

    batches: Sequence[BatchSummary]
    next: Cursor | None


def batch_page(*, under_way: bool | None, team_name: str | None, after: Cursor | None, limit: int) -> BatchPage:
    """The latest first; `team_name` "" are those of no team. Two queries."""
    rows = Batch.objects.order_by("-created_at", "-pk")
    if under_way is not None:
        rows = rows.filter(ended_at__isnull=under_way)
    if team_name is not None:
        rows = rows.filter(team_name=team_name)
    if after is not None:
        rows = rows.filter(Q(created_at__lt=after.moment) | Q(created_at=after.moment, pk__lt=after.key))
    found = list(rows[: limit + 1])
    page = found[:limit]
    more = Cursor(page[-1].created_at, page[-1].pk) if len(found) > limit else None
    sums = _sums([batch.pk for batch in page])
    return BatchPage([BatchSummary(batch, sums.get(batch.pk, BatchSums(_counted({})))) for batch in page], more)


def batch_summary(batch_id: str) -> BatchSummary | None:
    batch = Batch.objects.filter(pk=batch_id).first()
    if batch is None:
        return None
    return BatchSummary(batch, _sums([batch.pk]).get(batch.pk, BatchSums(_counted({}))))


def batch_jobs(batch_id: str) -> list[BatchJob]:
    """Its parts at the providers, in the order of their making."""
    return list(BatchJob.objects.filter(batch_id=batch_id).order_by("pk"))


def fault_words(batch: Batch) -> list[str]:
    """Why it failed before anything was sent; nothing where it did not."""
    return [f"line {one['line']}: {one['message']}" if one["line"] else one["message"] for one in batch.errors]


def _sums(ids: Sequence[str]) -> dict[str, BatchSums]:
    groups = BatchLine.objects.filter(batch_id__in=ids).values("batch_id", "outcome").order_by()
    by_batch: dict[str, list[dict[str, Any]]] = {}
    for group in groups.annotate(lines=Count("pk"), cost=Sum("cost_usd"), reserved=Sum("reserved_usd")):
        by_batch.setdefault(group["batch_id"], []).append(group)
    return {batch_id: _sum(found) for batch_id, found in by_batch.items()}


def _sum(groups: Sequence[dict[str, Any]]) -> BatchSums:
    under_way = LineOutcome.NONE.value
    return BatchSums(
        outcomes=_counted({group["outcome"]: group["lines"] for group in groups}),
        cost_usd=sum((group["cost"] for group in groups), ZERO_USD),
        reserved_usd=sum((group["reserved"] for group in groups if group["outcome"] == under_way), ZERO_USD),
    )


def _counted(found: dict[str, int]) -> dict[str, int]:
    return {word.value: found.get(word.value, 0) for word in LineOutcome if word is not LineOutcome.NONE}
