"""The drills that run, as the request path needs them."""

from __future__ import annotations

from django.utils import timezone

from gateway.engine.drill import Drill, DrillFault
from gateway.models import drill as rows


def drills_in_force() -> tuple[Drill, ...]:
    """What runs at this moment, as the request path needs it. Two queries, one while nothing runs."""
    running = rows.Drill.objects.running(timezone.now())
    running = running.select_related("provider").prefetch_related("keys").order_by("pk")
    return tuple(_for_requests(row) for row in running)


def _for_requests(row: rows.Drill) -> Drill:
    return Drill(
        id=row.pk,
        fault=DrillFault(row.fault),
        share_percent=row.share_percent,
        ends_at=row.ends_at.timestamp(),
        provider=row.provider.name if row.provider is not None else None,
        route_id=row.route_id,
        key_ids=frozenset(key.pk for key in row.keys.all()),
    )
