"""Take over what the installed price list has new: seen first, then all of it or what was chosen.

Prices of operations' own stay as they are: a list price waits behind them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from gateway.ledger.money import usd_text
from gateway.models import Price
from gateway.models.words import PriceSource
from gateway.selectors.prices import models_in_use
from gateway.services.configuration import CHANGED, CREATED, change_record, configuration_lock
from gateway.services.price_seed import PRICE_COLUMNS, SeedStep, seed_steps, seed_write

_SECTION = "prices"
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class PriceStep:
    """One number of a price, before and after; `percent` is how much dearer it becomes, where that can be told."""

    column: str
    before: str | None
    after: str | None
    percent: Decimal | None

    @property
    def title(self) -> str:
        return self.column.removesuffix("_per_mtok").replace("_", " ")


@dataclass(frozen=True, slots=True)
class PriceChange:
    """One version of a list price that the book lacks. `key` names it; `added` says that it replaces none.

    `overridden`: operations have a price of their own for the model, which goes before this one.
    """

    key: str
    kind: str
    model: str
    valid_from: datetime | None
    added: bool
    in_use: bool
    overridden: bool
    steps: tuple[PriceStep, ...]


def price_refresh_preview() -> tuple[PriceChange, ...]:
    """What a refresh would change, models in use first, changes before additions."""
    return tuple(change for change, _ in _changes())


@transaction.atomic
def price_refresh(*, actor: str, keys: Collection[str] | None = None) -> tuple[PriceChange, ...]:
    """Take over the versions with these keys, or all; returns those that were. A key that is no longer new is skipped.

    Each change, and each addition of a model in use, leaves a row of history; other additions share one.
    """
    configuration_lock()
    chosen = [(change, step) for change, step in _changes() if keys is None or change.key in keys]
    seed_write(step for _, step in chosen)
    taken = tuple(change for change, _ in chosen)
    _record(taken, actor)
    return taken


def _changes() -> list[tuple[PriceChange, SeedStep]]:
    in_use = models_in_use()
    own = Price.objects.alive().filter(source=PriceSource.OVERRIDE).order_by()
    overridden = frozenset(own.values_list("kind", "model"))
    found = [(_change(step, in_use, overridden), step) for step in seed_steps(in_use)]
    return sorted(found, key=lambda each: _order(each[0]))


def _order(change: PriceChange) -> tuple[Any, ...]:
    began = change.valid_from.isoformat() if change.valid_from else ""
    return (not change.in_use, change.added, change.kind, change.model, began)


def _change(
    step: SeedStep, in_use: Collection[tuple[str, str]], overridden: Collection[tuple[str, str]]
) -> PriceChange:
    price = step.price
    name = (price.kind, price.model)
    steps = (_step(column, step) for column in PRICE_COLUMNS)
    since = f"/{price.valid_from:%Y-%m-%d}" if price.valid_from else ""
    return PriceChange(
        key=f"{price.kind}/{price.model}{since}",
        kind=price.kind,
        model=price.model,
        valid_from=price.valid_from,
        added=step.row is None,
        in_use=name in in_use,
        overridden=name in overridden,
        steps=tuple(each for each in steps if each is not None),
    )


def _step(column: str, step: SeedStep) -> PriceStep | None:
    before = getattr(step.row, column) if step.row is not None else None
    after = getattr(step.price, column)
    if before == after or (step.row is None and after in (None, False)):
        return None
    percent = None
    if isinstance(before, Decimal) and isinstance(after, Decimal) and before:
        percent = round((after / before - 1) * _HUNDRED, 1)
    return PriceStep(column, _shown(before), _shown(after), percent)


def _shown(value: Any) -> str | None:
    if isinstance(value, Decimal):
        return usd_text(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return None if value is None else f"{value:,}"


def _record(taken: Collection[PriceChange], actor: str) -> None:
    told = [change for change in taken if change.in_use or not change.added]
    for change in told:
        change_record(
            actor=actor,
            action=CREATED if change.added else CHANGED,
            section=_SECTION,
            name=f"list price {change.key}",
            before=_described(change, "before"),
            after=_described(change, "after"),
        )
    others = len(taken) - len(told)
    if others:
        change_record(actor=actor, action=CREATED, section=_SECTION, name=f"{others} list prices of other models")


def _described(change: PriceChange, when: str) -> str:
    values = ((step.column, getattr(step, when)) for step in change.steps)
    return ", ".join(f"{column}={value}" for column, value in values if value is not None)
