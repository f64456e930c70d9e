"""The rows behind `Idempotency-Key`: claimed, renewed, answered or given up. Plain ORM, for a thread of its own.

Several processes may do so at once: whoever inserts the row, or takes over one whose lease is over, in one conditional
statement, has it.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from django.db.models import Q

from gateway.crypto import SecretUnreadable, decrypt, encrypt
from gateway.models import IdempotencyRecord
from gateway.services.idempotency_retention import KEEP

# The place of a process that died is free after this long; living ones renew theirs several times in between.
LEASE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A whole answer as its client got it. `body` is None where it was too large to keep."""

    request_id: str
    streamed: bool
    headers: dict[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """The request is the first one and may begin."""


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Another request of the same key and body is under way."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The key stands for another body."""


Found = StoredAnswer | Claimed | UnderWay | Mismatch


def claim(scope: str, body_hash: str, owner: str, now: datetime) -> Found:
    """What there is for this key; where there is nothing, or only what is over, it is the caller's from now on."""
    mine = {"body_hash": body_hash, "owner": owner, "claimed_until": now + LEASE, "expires_at": now + KEEP}
    rows = IdempotencyRecord.objects.filter(scope=scope)
    if (row := rows.first()) is None:
        IdempotencyRecord.objects.bulk_create([IdempotencyRecord(scope=scope, **mine)], ignore_conflicts=True)
        row = rows.first()
    if row is None:  # swept or given up in this moment
        return UnderWay()
    if row.owner == owner:
        return Claimed()
    over = Q(expires_at__lte=now) | Q(answer="", claimed_until__lte=now)
    if row.expires_at <= now or (not row.answer and row.claimed_until <= now):
        taken = IdempotencyRecord.objects.filter(over, scope=scope, owner=row.owner).update(answer="", **mine)
        return Claimed() if taken else UnderWay()
    if row.body_hash != body_hash:
        return Mismatch()
    if not row.answer:
        return UnderWay()
    return _opened(row, mine)


def _opened(row: IdempotencyRecord, mine: dict[str, object]) -> Found:
    """An answer that none of the installation's keys opens any more is none: the request begins anew."""
    try:
        fields = orjson.loads(decrypt(row.answer))
    except SecretUnreadable:
        unread = IdempotencyRecord.objects.filter(scope=row.scope, owner=row.owner)
        return Claimed() if unread.update(answer="", **mine) else UnderWay()
    body = fields.pop("body")
    return StoredAnswer(**fields, body=None if body is None else zlib.decompress(base64.b64decode(body)))


def store(scope: str, owner: str, answer: StoredAnswer) -> bool:
    """Keep the answer, encrypted; False where the claim was somebody else's by then."""
    fields = {
        "request_id": answer.request_id,
        "streamed": answer.streamed,
        "headers": answer.headers,
        "body": None if answer.body is None else base64.b64encode(zlib.compress(answer.body, 1)).decode(),
    }
    text = encrypt(orjson.dumps(fields).decode())
    return bool(IdempotencyRecord.objects.filter(scope=scope, owner=owner).update(answer=text))


def release(scope: str, owner: str) -> None:
    """The first request gave no answer: the next one may try."""
    IdempotencyRecord.objects.filter(scope=scope, owner=owner, answer="").delete()


def renew(owners: Collection[str], now: datetime) -> None:
    IdempotencyRecord.objects.filter(owner__in=owners, answer="").update(claimed_until=now + LEASE)
