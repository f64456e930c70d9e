"""Batches in the operators' API: list, look at, cancel. What was asked and answered in them is not told."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from gateway.api.operators_access import operator_allowed
from gateway.api.operators_errors import NotFound, only_parameters
from gateway.api.operators_schemas import CALLER_FAULTS, OR_MISSING, Moment, Usd
from gateway.engine.errors import InvalidRequest
from gateway.selectors.batches import BatchSummary, batch_jobs, batch_page, batch_summary, fault_words
from gateway.selectors.keyset import Cursor
from gateway.services.batch_create import batch_cancel_by
from gateway.services.permissions import CANCEL_BATCHES

MOST_BATCHES = 200

router = Router()


class BatchCounts(Schema):
    """`under_way` have no result yet."""

    lines: int
    succeeded: int
    errored: int
    expired: int
    cancelled: int
    under_way: int


class Batch(Schema):
    """`cost_usd` is what its ended lines cost, `reserved_usd` what is held for those under way."""

    id: str
    wire: str
    operation: str
    state: str
    team: str | None
    api_key: str
    counts: BatchCounts
    cost_usd: Usd
    reserved_usd: Usd
    created_at: Moment
    expires_at: Moment
    in_progress_at: Moment | None
    cancelling_at: Moment | None
    ended_at: Moment | None


class Batches(Schema):
    batches: list[Batch]
    next: str | None = Field(description="Give it as `after` for the following page; null on the last one.")


class BatchPart(Schema):
    """One batch at one provider. `upstream_id` is the provider's own name for it."""

    provider: str
    model: str
    state: str
    upstream_id: str | None
    created_at: Moment
    message: str


class BatchDetails(Batch):
    errors: list[str] = Field(description="Why it failed before anything was sent; empty otherwise.")
    parts: list[BatchPart]


@router.get("/batches", response={200: Batches, **CALLER_FAULTS}, summary="Batches, the latest first")
def batches(
    request: HttpRequest,
    under_way: bool | None = None,
    team: Annotated[str | None, Query(max_length=100)] = None,
    after: Annotated[str, Query(max_length=80)] = "",
    limit: Annotated[int, Query(ge=1, le=MOST_BATCHES)] = 50,
) -> Batches:
    """`team=` (empty) are those of keys without a team."""
    only_parameters(request, "under_way", "team", "after", "limit")
    try:
        cursor = Cursor.of(after) if after else None
    except ValueError:
        raise InvalidRequest("after must be the `next` of the page before.", param="after") from None
    page = batch_page(under_way=under_way, team_name=team, after=cursor, limit=limit)
    told = [Batch(**_told(one)) for one in page.batches]
    return Batches(batches=told, next=str(page.next) if page.next else None)


@router.get("/batches/{id}", response={200: BatchDetails, **OR_MISSING}, summary="One batch with its parts")
def batch(request: HttpRequest, id: str) -> BatchDetails:
    only_parameters(request)
    return _details(_found(id))


@router.post("/batches/{id}/cancel", response={200: BatchDetails, **OR_MISSING}, summary="Cancel a batch")
def cancel(request: HttpRequest, id: str) -> BatchDetails:
    """Lines that were sent may still be answered, and are then charged; the others end cancelled, for nothing."""
    only_parameters(request)
    operator = operator_allowed(request, CANCEL_BATCHES)
    batch_cancel_by(_found(id).batch, actor=operator.actor)
    return _details(_found(id))


def _found(batch_id: str) -> BatchSummary:
    found = batch_summary(batch_id) if batch_id.isprintable() and len(batch_id) <= 48 else None
    if found is None:
        raise NotFound(f"There is no batch {batch_id[:60]!r}; GET /api/batches lists them.", param="id")
    return found


def _told(one: BatchSummary) -> dict[str, Any]:
    row, sums = one.batch, one.sums
    ended = sum(sums.outcomes.values())
    plain = ("id", "wire", "operation", "state", *("created_at", "expires_at", "in_progress_at"))
    return {
        **{name: getattr(row, name) for name in (*plain, "cancelling_at", "ended_at")},
        "team": row.team_name or None,
        "api_key": row.api_key_name,
        "counts": {"lines": row.line_count, **sums.outcomes, "under_way": row.line_count - ended},
        "cost_usd": sums.cost_usd,
        "reserved_usd": sums.reserved_usd,
    }


def _details(one: BatchSummary) -> BatchDetails:
    parts = [
        BatchPart(
            provider=job.provider,
            model=job.model,
            state=job.state,
            upstream_id=job.upstream_id or None,
            created_at=job.created_at,
            message=job.message,
        )
        for job in batch_jobs(one.batch.pk)
    ]
    return BatchDetails(**_told(one), errors=fault_words(one.batch), parts=parts)
