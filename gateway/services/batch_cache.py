"""A batch's lines that the response cache has an answer for are never sent: their result is that answer, for nothing.

Only answers that a fleet shares through Redis are found, since those of a process without Redis are its own. Nothing
that a batch brings is kept for others.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from django.conf import settings

from gateway.engine.batch import LineOutcome
from gateway.engine.words import Operation, Wire
from gateway.ledger.records import ZERO_USD, Intent
from gateway.models import Batch, BatchLine
from gateway.services.access import route_for
from gateway.services.batch_books import Draft, LineBooks
from gateway.services.batch_results import line_done
from gateway.services.cache_hits import LEASE, hit_decision, hit_settlement
from gateway.services.call import Call
from gateway.services.response_cache import answer_slot
from gateway.services.snapshot import ApiKey, Snapshot
from gateway.stores.answers import CachedAnswer
from gateway.stores.redis_answers import peek_redis
from gateway.stores.redis_line import LineDown
from gateway.wires import parse_call

logger = logging.getLogger("gateway.batches")

Drafted = tuple[BatchLine, bytes, Draft]


def lines_cached(
    snapshot: Snapshot, books: LineBooks, batch: Batch, key: ApiKey, drafts: Sequence[Drafted], now: datetime
) -> list[Drafted]:
    """Ends the lines that can be answered from the cache; the others are returned.

    A line has its result before its row: whoever dies in between leaves a free answer without a row, never a paid one.
    """
    slots = [_digest(snapshot, batch, key, line, body) for line, body, _ in drafts]
    found = _found([slot for slot in slots if slot is not None])
    hits: list[tuple[Intent, CachedAnswer]] = []
    others: list[Drafted] = []
    for drafted, digest in zip(drafts, slots, strict=True):
        answer = found.get(digest or "")
        if answer is None:
            others.append(drafted)
            continue
        line, _, draft = drafted
        line.provider, line.model = answer.provider, answer.model
        line_done(Wire(batch.wire), line, LineOutcome.SUCCEEDED, 200, answer.body)
        hits.append((_intent(batch, line, draft, answer, now), answer))
    if hits:
        books.reserve([intent for intent, _ in hits])
        books.settle([hit_settlement(intent, answer) for intent, answer in hits])
    return others


def _digest(snapshot: Snapshot, batch: Batch, key: ApiKey, line: BatchLine, body: bytes) -> str | None:
    operation = Operation(batch.operation)
    parsed = parse_call(operation, body)
    route = route_for(snapshot, key, parsed.model)
    if route.cache is None:
        return None
    slot = answer_slot(Call(operation, body, {}, key, line.completion_id), parsed, route, route.cache)
    return None if slot is None else slot.digest


def _found(digests: list[str]) -> dict[str, CachedAnswer]:
    if not digests or not settings.REDIS_URL:
        return {}
    try:
        return peek_redis(settings.REDIS_URL, digests)
    except LineDown as down:
        logger.warning("lines of a batch are not looked for in the cache: Redis is away (%s)", down)
        return {}


def _intent(batch: Batch, line: BatchLine, draft: Draft, answer: CachedAnswer, now: datetime) -> Intent:
    """No budget is asked: it costs nothing."""
    decision = hit_decision(draft.intent.route_name, answer, now)
    told = {**decision, "batch": batch.pk, "line": line.number, "custom_id": line.custom_id}
    return replace(draft.intent, reserved_usd=ZERO_USD, claims=(), lease_until=now + LEASE, decision=told)
