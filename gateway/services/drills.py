"""Start and stop fire drills. Every way in (admin, command, operators' API) calls these.

A drill is a row; it rides in the configuration's snapshot to every process, and ends there by the clock.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from gateway.engine.drill import DrillFault
from gateway.models import ApiKey, Drill, Provider, Route
from gateway.models.drill import LONGEST_SECONDS
from gateway.services.configuration import CHANGED, CREATED, change_record, configuration_changed, configuration_lock
from gateway.services.live import serving_runtime

logger = logging.getLogger("gateway.drill")

RUNNING_MAX = 10  # each is looked at with every request while it runs


@transaction.atomic
def drill_start(
    *,
    provider: Provider | None,
    route: Route | None,
    fault: DrillFault,
    share_percent: int,
    duration_seconds: int,
    actor: str,
    keys: Iterable[ApiKey] = (),
    note: str = "",
    alerts: bool = False,
) -> Drill:
    """A drill that runs from now on, in every process within two seconds of the commit, for `duration_seconds`.

    Raises ValidationError, by field where one is wrong.
    """
    chosen = list(keys)
    configuration_lock()
    now = timezone.now()
    drill_check(provider=provider, route=route, keys=chosen, duration_seconds=duration_seconds, now=now)
    drill = Drill(
        provider=provider,
        route=route,
        fault=fault.value,
        share_percent=share_percent,
        note=note,
        alerts=alerts,
        starts_at=now,
        ends_at=now + timedelta(seconds=duration_seconds),
        started_by=actor[:150],
    )
    drill.full_clean()
    drill.save()
    drill.keys.set(chosen)
    _record(drill, actor, CREATED, _described(drill, chosen))
    return drill


@transaction.atomic
def drill_stop(*, drill: Drill, actor: str) -> bool:
    """End it now, in every process within two seconds of the commit. False, and nothing changes, if it was over.

    What is under way ends as it began.
    """
    now = timezone.now()
    running = Drill.objects.running(now).filter(pk=drill.pk)
    if not running.update(stopped_at=now, stopped_by=actor[:150]):
        return False
    drill.refresh_from_db()
    _record(drill, actor, CHANGED, "stopped")
    return True


def drill_check(
    *, provider: Provider | None, route: Route | None, keys: Iterable[ApiKey], duration_seconds: int, now: datetime
) -> None:
    """Whether such a drill may start now, apart from what the row itself says. Raises ValidationError."""
    if not 1 <= duration_seconds <= LONGEST_SECONDS:
        raise ValidationError(
            f"duration_seconds: a drill lasts 1 to {LONGEST_SECONDS} seconds, not {duration_seconds}."
        )
    if provider is None and route is None:
        raise ValidationError("A drill needs a provider, a route, or both.")
    archived = [str(row) for row in (provider, route, *keys) if row is not None and row.archived]
    if archived:
        raise ValidationError(f"{', '.join(archived)}: archived, so no request would be drilled.")
    if provider is not None and route is not None and not route.targets.filter(provider=provider).exists():
        raise ValidationError({"provider": f"The route {route.name} has no target at {provider.name}."})
    if Drill.objects.running(now).count() >= RUNNING_MAX:
        raise ValidationError(f"{RUNNING_MAX} drills are running already: stop one first.")


def _described(drill: Drill, keys: list[ApiKey]) -> str:
    who = ", ".join(sorted(key.name for key in keys)) or "every key"
    words = f"{drill.fault} at {drill.subject}, {drill.share_percent} % of requests of {who}"
    return f"{words}, until {drill.ends_at:%Y-%m-%d %H:%M:%S} UTC{', with real alerts' if drill.alerts else ''}"


def _record(drill: Drill, actor: str, action: str, after: str) -> None:
    change_record(actor=actor, action=action, section="drills", name=str(drill.pk), after=after)
    configuration_changed()
    transaction.on_commit(lambda: _announce(drill, actor, after))


def _announce(drill: Drill, actor: str, what: str) -> None:
    """Make it live here at once; other processes see the version move."""
    logger.warning("fire drill %d by %s: %s", drill.pk, actor, what)
    runtime = serving_runtime()
    if runtime is not None:
        runtime.holder.poll()
