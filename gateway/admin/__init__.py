"""The back office's forms and lists, one file per concept."""

from gateway.admin import (
    alert_channel,
    budget,
    completion,
    drill,
    ledger,
    organisation,
    people,
    price,
    provider,
    route,
    team,
)

__all__ = [
    "alert_channel",
    "budget",
    "completion",
    "drill",
    "ledger",
    "organisation",
    "people",
    "price",
    "provider",
    "route",
    "team",
]
