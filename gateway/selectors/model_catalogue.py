"""The model catalogue, read beside the routes: what models can do, which retire, and who still uses those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from gateway.engine.catalogue import ModelTraits, model_traits
from gateway.engine.words import Wire
from gateway.models import Target

# So long before a model retires its routes are warned of.
RETIRING_SOON_DAYS = 90


@dataclass(frozen=True, slots=True)
class RetiringTarget:
    """A target whose model is retired (`days_left` at most 0) or soon will be."""

    target_id: int
    route: str
    provider: str
    model: str
    retired_on: date
    days_left: int
    successor: str | None

    @property
    def retired(self) -> bool:
        return self.days_left <= 0

    def __str__(self) -> str:
        when = (
            f"was retired on {self.retired_on:%Y-%m-%d}"
            if self.retired
            else f"retires in {self.days_left} day{'' if self.days_left == 1 else 's'}"
        )
        return f"{self.model} {when}"


@dataclass(frozen=True, slots=True)
class ModelLine:
    """A model with its traits and the routes that have it as a target."""

    kind: str
    model: str
    traits: ModelTraits
    routes: tuple[str, ...]
    days_left: int | None

    @property
    def capabilities(self) -> tuple[str, ...]:
        return capabilities_of(self.traits)


def retiring_targets(now: datetime, *, provider: str | None = None) -> tuple[RetiringTarget, ...]:
    """Targets of routes in use, of one provider or all, whose models are retired or soon will be, those first that
    retire first. One query."""
    rows = Target.objects.filter(route__archived_at=None, provider__archived_at=None).select_related(
        "provider", "route"
    )
    if provider is not None:
        rows = rows.filter(provider__name=provider)
    found = (retirement_of(row, now) for row in rows)
    retiring = [one for one in found if one is not None]
    return tuple(sorted(retiring, key=lambda one: (one.retired_on, one.route, one.provider, one.model)))


def retirement_of(target: Target, now: datetime) -> RetiringTarget | None:
    """None where the target's model has no date of retirement, or a distant one."""
    traits = model_traits(Wire(target.provider.kind), target.model)
    days_left = _days_left(traits, now)
    if traits.retired_on is None or days_left is None or days_left > RETIRING_SOON_DAYS:
        return None
    return RetiringTarget(
        target_id=target.pk,
        route=target.route.name,
        provider=target.provider.name,
        model=target.model,
        retired_on=traits.retired_on,
        days_left=days_left,
        successor=traits.successor,
    )


def model_lines(priced: Iterable[tuple[str, str]], *, now: datetime) -> tuple[ModelLine, ...]:
    """`priced` (kind, model) and those of routes, in use first, then by name. One query."""
    routes = routes_by_model()
    lines = [_line(kind, model, routes, now) for kind, model in {*priced, *routes}]
    return tuple(sorted(lines, key=lambda line: (not line.routes, line.kind, line.model)))


def routes_by_model() -> dict[tuple[str, str], tuple[str, ...]]:
    """By (kind, model) the names of the routes in use that have it as a target. One query."""
    found: dict[tuple[str, str], list[str]] = {}
    targets = Target.objects.filter(route__archived_at=None).order_by("route__name")
    for kind, model, route in targets.values_list("provider__kind", "model", "route__name"):
        names = found.setdefault((kind, model), [])
        if route not in names:
            names.append(route)
    return {key: tuple(names) for key, names in found.items()}


def _line(kind: str, model: str, routes: Mapping[tuple[str, str], tuple[str, ...]], now: datetime) -> ModelLine:
    traits = model_traits(Wire(kind), model)
    return ModelLine(kind, model, traits, routes.get((kind, model), ()), _days_left(traits, now))


def _days_left(traits: ModelTraits, now: datetime) -> int | None:
    return None if traits.retired_on is None else (traits.retired_on - now.date()).days


def capabilities_of(traits: ModelTraits) -> tuple[str, ...]:
    """What the model takes or does, in words."""
    told = (
        ("reasoning", traits.reasoning or traits.thinking != "none"),
        ("structured output", traits.takes_json_schema),
        ("forced tools", traits.takes_forced_tools),
        ("sampling", traits.takes_sampling),
        ("stop sequences", traits.takes_stop),
        ("prefill", traits.takes_prefill),
    )
    return tuple(word for word, holds in told if holds)
