"""What taking something out of use would do, in sentences that are read before it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from gateway.ledger.money import usd_text
from gateway.ledger.prices import Price as PriceVersion
from gateway.models import AlertChannel, ApiKey, Budget, Completion, Price, Provider, Route, Team
from gateway.services.configuration_rows import section_of
from gateway.services.configuration_uses import configuration_uses
from gateway.services.price_book import ArchiveEffect, archive_effects

_LATELY = timedelta(hours=1)
_SHOWN = 5


def archive_obstacle(row: Any) -> str:
    """What still needs the row, as a sentence; "" where it may be archived."""
    if isinstance(row, Price):
        return ""
    section = section_of(type(row)).name
    users = [use.by for use in configuration_uses() if use.section == section and use.name == row.name]
    return f"{row} can't be archived: it is still needed by {_some(users)}. Change that first." if users else ""


def archive_consequences(row: Any) -> tuple[str, ...]:
    """What would be different afterwards. A few queries."""
    found = _CONSEQUENCES.get(type(row))
    return tuple(found(row)) if found is not None else ()


def disable_consequences(row: Provider) -> tuple[str, ...]:
    """What switching the provider off would change for requests."""
    return tuple(_provider_off(row))


def _provider(row: Provider) -> Iterator[str]:
    yield from _last_provider(row)
    yield f"{row} is no longer watched, and its breaker is forgotten."


def _provider_off(row: Provider) -> Iterator[str]:
    routes = Route.objects.alive().filter(targets__provider=row).distinct().order_by("name")
    without = [route.name for route in routes if not _has_others(route, row)]
    names = [route.name for route in routes if route.name not in without]
    if names:
        yield f"Requests of the routes {_some(names)} go to their other targets."
    if without:
        yield f"No target would be left for the routes {_some(without)}: their requests fail."
    yield from _last_provider(row)


def _has_others(route: Route, row: Provider) -> bool:
    others = route.targets.filter(simple=False, provider__enabled=True).exclude(provider=row)
    return bool(others.exists())


def _last_provider(row: Provider) -> Iterator[str]:
    if row.enabled and not Provider.objects.alive().filter(enabled=True).exclude(pk=row.pk).exists():
        yield f"{row} is the last provider that is switched on: no request could be answered."


def _route(row: Route) -> Iterator[str]:
    names = " or ".join([row.name, *row.aliases][:_SHOWN])
    lately = Completion.objects.filter(route_id=row.pk, created_at__gte=timezone.now() - _LATELY).exists()
    used = ", and some did within the last hour" if lately else ""
    yield f"Agents that ask for {names} are told that there is no such model{used}."
    keys = ApiKey.objects.alive().filter(routes=row, all_routes=False).order_by("name")
    if names_of_keys := list(keys.values_list("name", flat=True)):
        yield f"It is one of the few routes that these keys may use: {_some(names_of_keys)}."


def _team(row: Team) -> Iterator[str]:
    yield f"{row} can't be chosen for keys and budgets any more; its spend stays in the reports."


def _api_key(row: ApiKey) -> Iterator[str]:
    seen = f" It was last used {row.last_used_at:%Y-%m-%d %H:%M} UTC." if row.last_used_at else ""
    yield f"{row} ({row.prefix}) is refused within two seconds, the agents that have it with it.{seen}"


def _budget(row: Budget) -> Iterator[str]:
    yield f"The limit of {row} no longer holds: nothing is refused and nobody is told because of it."


def _channel(row: AlertChannel) -> Iterator[str]:
    yield f"Nothing is sent to {row} any more."
    if not AlertChannel.objects.alive().exclude(pk=row.pk).exists():
        yield "It is the last channel: nobody would be told of anything."


def price_consequences(rows: Sequence[Price]) -> Iterator[str]:
    """What archiving all of these prices at once would change."""
    for effect in archive_effects(rows, at=timezone.now()):
        yield f"It is what the routes {_some(list(effect.routes))} pay for {effect.price.model}. {_instead(effect)}"
    yield "What was charged keeps its price."


def _instead(effect: ArchiveEffect) -> str:
    if effect.instead is None:
        return "Nothing would take its place: requests would no longer be sent to this model."
    if effect.instead.free:
        return "Instead it would cost nothing."
    after, now = (_per_million(price) for price in (effect.instead, effect.price))
    return f"Instead {after} would hold (now {now})."


def _per_million(price: Price | PriceVersion) -> str:
    taken, given = usd_text(price.input_per_mtok or Decimal(0)), usd_text(price.output_per_mtok or Decimal(0))
    return f"${taken} in and ${given} out per million tokens"


def _price(row: Price) -> Iterator[str]:
    yield from price_consequences([row])


_CONSEQUENCES: dict[type, Callable[[Any], Iterator[str]]] = {
    Provider: _provider,
    Route: _route,
    Team: _team,
    ApiKey: _api_key,
    Budget: _budget,
    AlertChannel: _channel,
    Price: _price,
}


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
