"""How long the answers of repeated requests are kept."""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.models import IdempotencyRecord

KEEP = timedelta(hours=24)
# A transaction of this many stays short, so that requests never wait long for it.
_CHUNK = 200


def idempotency_expire(*, now: datetime) -> int:
    """Remove what nobody may be given any more; how many that were."""
    total = 0
    while scopes := list(
        IdempotencyRecord.objects.filter(expires_at__lte=now).values_list("scope", flat=True)[:_CHUNK]
    ):
        IdempotencyRecord.objects.filter(scope__in=scopes, expires_at__lte=now).delete()
        total += len(scopes)
    return total
