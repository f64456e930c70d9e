"""Questions to the price book about models that are about to be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from gateway.engine.words import Wire
from gateway.ledger.prices import Price as PriceVersion
from gateway.ledger.prices import PriceBook
from gateway.models import Price
from gateway.selectors.model_catalogue import routes_by_model
from gateway.services.price_seed import price_is_listed, prices_seed
from gateway.services.snapshot_load import price_of_row, prices_in_force


def prices_now(*, at: datetime) -> Mapping[tuple[str, str], PriceVersion]:
    """By (kind, model) the version that a request at `at` is charged at. One query."""
    versions = [price_of_row(row) for row in prices_in_force(Price.objects.alive())]
    book = PriceBook(versions)
    names = {(version.kind, version.model) for version in versions}
    found = ((kind.value, model, book.find(kind, model, at)) for kind, model in names)
    return {(kind, model): version for kind, model, version in found if version is not None}


def price_now(*, kind: str, model: str, at: datetime) -> PriceVersion | None:
    rows = Price.objects.alive().filter(kind=kind, model=model)
    return PriceBook(price_of_row(row) for row in prices_in_force(rows)).find(Wire(kind), model, at)


def model_is_priced(kind: str, model: str) -> bool:
    """Whether a price is in force; seeds the model's price where the installed price list knows it."""
    begun = Price.objects.alive().filter(kind=kind, model=model).exclude(valid_from__gt=timezone.now())
    if begun.exists():
        return True
    if not price_is_listed(kind, model):
        return False
    prices_seed([(kind, model)], only_new_models=True)
    return True


@dataclass(frozen=True, slots=True)
class ArchiveEffect:
    """A price in force whose model `routes` use, and what holds without it (None: nothing, so it can't be used)."""

    price: Price
    routes: tuple[str, ...]
    instead: PriceVersion | None


def archive_effects(rows: Sequence[Price], *, at: datetime) -> tuple[ArchiveEffect, ...]:
    """What archiving all of these would do to routes; empty where none of them would notice."""
    routes = routes_by_model()
    return tuple(
        ArchiveEffect(row, routes[(row.kind, row.model)], _without(rows, row, at))
        for row in rows
        if (row.kind, row.model) in routes and _is_in_force(row, at)
    )


def _is_in_force(row: Price, at: datetime) -> bool:
    version = price_now(kind=row.kind, model=row.model, at=at)
    return version is not None and version.id == row.pk


def _without(rows: Sequence[Price], row: Price, at: datetime) -> PriceVersion | None:
    left = Price.objects.alive().filter(kind=row.kind, model=row.model).exclude(pk__in=[each.pk for each in rows])
    return PriceBook(price_of_row(each) for each in prices_in_force(left)).find(Wire(row.kind), row.model, at)
