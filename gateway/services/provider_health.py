"""Health probes: on a provider's schedule, or because somebody pressed Test now.

A probe never moves the breaker. While it is closed the traffic itself is the better judge: one call of ours failing
where hundreds of the agents' succeed must not take a provider away, and one succeeding says nothing of the failures
that agents see. While it is open the cool-down decides when one real request may try (docs/decisions).
"""

from __future__ import annotations

import asyncio
import logging
import random as random_module
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from django.utils import timezone

from gateway.models import HealthProbe, HealthProbeTurn, Provider, Target
from gateway.providers.health import Health, provider_health
from gateway.services.snapshot_load import provider_of

logger = logging.getLogger("gateway.health")

KEPT_PER_PROVIDER = 500
# So that the providers of a fleet, configured alike, are not all asked at the same moment.
JITTER_LOW, JITTER_SPAN = 0.9, 0.2

_one_run_per_process = threading.Lock()


def provider_test(*, provider: Provider, actor: str) -> HealthProbe:
    """One real minimal call, now: to the model named for probes, else the first that a route uses there, else to the
    list of models. Works for providers that are switched off too. Takes ten seconds at most."""
    model = provider.health_probe_model or _first_model(provider) or None
    return _record(provider, asyncio.run(provider_health(provider_of(provider), model)), actor)


def health_probes_run(*, now: datetime, random: Callable[[], float] = random_module.random) -> list[HealthProbe]:
    """Ask the providers whose probe is due and whom no other prober of the fleet has claimed.

    One run per process at a time, so that silent providers never hold more than one of its threads.
    """
    if not _one_run_per_process.acquire(blocking=False):
        return []
    try:
        claimed = [provider for provider in _scheduled() if _claim(provider, now, random)]
        answers = asyncio.run(_ask_all(claimed)) if claimed else []
        return [_record(provider, health, actor="") for provider, health in zip(claimed, answers, strict=True)]
    finally:
        _one_run_per_process.release()


def _scheduled() -> list[Provider]:
    return list(Provider.objects.alive().filter(enabled=True, health_probe_every_seconds__isnull=False))


def _claim(provider: Provider, now: datetime, random: Callable[[], float]) -> bool:
    """Move the provider's turn on; true for the one who did. A provider's first turn comes within its interval."""
    every_seconds = provider.health_probe_every_seconds or 0.0
    next_due = now + timedelta(seconds=every_seconds * (JITTER_LOW + JITTER_SPAN * random()))
    turns = HealthProbeTurn.objects.filter(provider_id=provider.pk)
    # A turn that lies further ahead than the interval is from when the interval was longer.
    late, stale = turns.filter(due_at__lte=now), turns.filter(due_at__gt=now + timedelta(seconds=every_seconds * 1.2))
    if late.update(due_at=next_due) or stale.update(due_at=next_due):
        return True
    first = HealthProbeTurn(provider_id=provider.pk, due_at=now + timedelta(seconds=every_seconds * random()))
    HealthProbeTurn.objects.bulk_create([first], ignore_conflicts=True)
    return False


async def _ask_all(providers: list[Provider]) -> list[Health]:
    asked = (provider_health(provider_of(one), one.health_probe_model or None) for one in providers)
    return await asyncio.gather(*asked)


def _record(provider: Provider, health: Health, actor: str) -> HealthProbe:
    row = HealthProbe.objects.create(
        provider=provider.name,
        at=timezone.now(),
        actor=actor[:150],
        asked=health.asked[:200],
        ok=health.ok,
        outcome=health.outcome,
        words=health.words[:600],
        status=health.status,
        latency_ms=health.latency_ms,
    )
    _forget_old(provider.name)
    level = logging.INFO if health.ok else logging.WARNING
    told = "health probe provider=%s by=%s outcome=%s breaker=untouched (only requests and operations move it): %s"
    logger.log(level, told, provider.name, actor or "schedule", health.outcome, health.words)
    return row


def _forget_old(provider: str) -> None:
    rows = HealthProbe.objects.filter(provider=provider)
    oldest_kept = rows.order_by("-pk").values_list("pk", flat=True)[KEPT_PER_PROVIDER - 1 : KEPT_PER_PROVIDER].first()
    if oldest_kept is not None:
        rows.filter(pk__lt=oldest_kept).delete()


def _first_model(provider: Provider) -> str:
    targets = Target.objects.filter(provider=provider, route__archived_at=None).order_by("simple", "position", "pk")
    return targets.values_list("model", flat=True).first() or ""
