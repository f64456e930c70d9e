"""What pages need to know of the configuration: which providers there are, and the organisation's time zone."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from gateway.models import Provider
from gateway.models.organisation import organisation_current


@dataclass(frozen=True, slots=True)
class ConfiguredProvider:
    """`forced` is None, "open" or "closed": what a person ordered the breaker to be, with `forced_reason`."""

    id: int
    name: str
    enabled: bool
    forced: str | None
    forced_reason: str
    failure_threshold: int


def provider_list() -> tuple[ConfiguredProvider, ...]:
    """The providers that aren't archived, by name. One query."""
    columns = ("id", "name", "enabled", "forced_breaker", "forced_breaker_reason", "breaker_failure_threshold")
    rows = Provider.objects.alive().order_by("name").values_list(*columns)
    return tuple(ConfiguredProvider(*row) for row in rows)


def organisation_zone() -> ZoneInfo:
    """One query."""
    return ZoneInfo(organisation_current().time_zone)
