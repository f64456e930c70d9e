"""The back office's forms and lists, one file per concept."""

from gateway.admin import (
    alert,
    alert_channel,
    batch,
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
    "alert",
    "alert_channel",
    "batch",
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
