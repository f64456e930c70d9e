"""Starting a drill by names, as commands and programs know things."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError

from gateway.engine.drill import DrillFault
from gateway.models import ApiKey, Drill, Provider, Route
from gateway.services.drills import drill_start

_NAMES_TOLD = 20


def drill_start_named(
    *,
    provider: str | None,
    route: str | None,
    fault: str,
    share_percent: int,
    duration_seconds: int,
    actor: str,
    api_keys: Sequence[str] = (),
    note: str = "",
    alerts: bool = False,
) -> Drill:
    """As `drill_start`. Raises ValidationError that names what there is for a name that isn't one."""
    return drill_start(
        provider=_named(Provider, "provider", provider) if provider else None,
        route=_named(Route, "route", route) if route else None,
        fault=_fault(fault),
        share_percent=share_percent,
        duration_seconds=duration_seconds,
        actor=actor,
        keys=[_named(ApiKey, "API key", name) for name in api_keys],
        note=note,
        alerts=alerts,
    )


def _fault(word: str) -> DrillFault:
    try:
        return DrillFault(word)
    except ValueError:
        raise ValidationError(f"There is no fault {word[:60]!r}; there are: {', '.join(DrillFault)}.") from None


def _named(model: Any, what: str, name: str) -> Any:
    rows = model.objects.alive()
    found = rows.filter(name=name if name.isprintable() else "").first()
    if found is None:
        known = ", ".join(rows.order_by("name").values_list("name", flat=True)[:_NAMES_TOLD]) or "none yet"
        raise ValidationError(f"There is no {what} {name[:60]!r}. There are: {known}.")
    return found
