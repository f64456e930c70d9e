"""Put a retired model's successor in its place: in one target, after a look at what it changes in price."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from gateway.engine.catalogue import model_traits
from gateway.engine.words import Wire
from gateway.ledger.prices import Price
from gateway.models import Target
from gateway.selectors.model_catalogue import capabilities_of
from gateway.services.configuration import CHANGED, change_record, configuration_changed, configuration_lock
from gateway.services.configuration_diff import differences
from gateway.services.configuration_rows import route_entry
from gateway.services.price_book import model_is_priced, price_now

_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class PriceStep:
    """One price per million tokens, before and after; `percent` is how much dearer it becomes."""

    title: str
    before: Decimal
    after: Decimal
    percent: Decimal | None


@dataclass(frozen=True, slots=True)
class Succession:
    """What would take the place of what. `lost` are the old model's capabilities that the successor lacks. `problem`
    says why it can't be, in a sentence, or is None."""

    target_id: int
    route: str
    provider: str
    kind: str
    model: str
    successor: str
    steps: tuple[PriceStep, ...]
    lost: tuple[str, ...]
    problem: str | None


def succession_of(target: Target) -> Succession:
    """Raises ValidationError for a model without a known successor. Seeds the successor's list price if it has one."""
    kind, now = target.provider.kind, timezone.now()
    traits = model_traits(Wire(kind), target.model)
    successor = traits.successor
    if successor is None:
        raise ValidationError(f"No successor of {target.model} is known; choose its model in the route's form.")
    priced = model_is_priced(kind, successor)
    gained = capabilities_of(model_traits(Wire(kind), successor))
    problem = None if priced else f"{successor} has no price yet; add one under Prices first."
    before = price_now(kind=kind, model=target.model, at=now)
    after = price_now(kind=kind, model=successor, at=now)
    return Succession(
        target_id=target.pk,
        route=target.route.name,
        provider=target.provider.name,
        kind=kind,
        model=target.model,
        successor=successor,
        steps=_steps(before, after) if before and after else (),
        lost=tuple(word for word in capabilities_of(traits) if word not in gained),
        problem=problem,
    )


@transaction.atomic
def target_succeed(*, target: Target, actor: str) -> Succession:
    """Let the successor answer in the target's place. Raises ValidationError where that can't be."""
    configuration_lock()
    target = Target.objects.select_related("provider", "route").get(pk=target.pk)
    route = target.route
    succession = succession_of(target)
    if succession.problem:
        raise ValidationError(succession.problem)
    before = route_entry(route)
    target.model = succession.successor
    target.full_clean(exclude=["route", "provider"])
    target.save(update_fields=["model"])
    told = differences(before, route_entry(type(route).objects.get(pk=route.pk)))
    change_record(actor=actor, action=CHANGED, section="routes", name=route.name, before=told[0], after=told[1])
    configuration_changed()
    return succession


def _steps(before: Price, after: Price) -> tuple[PriceStep, ...]:
    pairs = (
        ("input", before.input_per_mtok, after.input_per_mtok),
        ("cached input", before.cached_input, after.cached_input),
        ("output", before.output_per_mtok, after.output_per_mtok),
    )
    return tuple(PriceStep(title, old, new, _percent(old, new)) for title, old, new in pairs)


def _percent(before: Decimal, after: Decimal) -> Decimal | None:
    return round((after / before - 1) * _HUNDRED, 1) if before else None
