"""Models that routes use and somebody should look at: about to retire, or without a price."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Q

from gateway.engine.catalogue import model_traits
from gateway.engine.words import Wire
from gateway.models import Price, Target

WARN_BEFORE = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class ModelWarning:
    """`retires_on` None: it is about the missing price. `successor` is "" where none is known."""

    model: str
    provider: str
    routes: tuple[str, ...]
    retires_on: date | None = None
    successor: str = ""


def model_warnings(*, now: datetime) -> tuple[ModelWarning, ...]:
    """Of targets of routes and providers in use, by model; each model once per provider. Two queries."""
    routes: dict[tuple[str, str, str], list[str]] = {}
    targets = Target.objects.filter(route__archived_at__isnull=True, provider__archived_at__isnull=True)
    columns = ("provider__kind", "provider__name", "model", "route__name")
    for kind, provider, model, route in targets.order_by("model", "provider__name", "route__name").values_list(
        *columns
    ):
        routes.setdefault((kind, provider, model), []).append(route)
    begun = Price.objects.alive().exclude(Q(valid_from__gt=now)).values_list("kind", "model")
    priced = set(begun.filter(model__in={model for _, _, model in routes}).distinct().order_by())
    warnings: list[ModelWarning] = []
    for (kind, provider, model), names in routes.items():
        told = tuple(dict.fromkeys(names))
        traits = model_traits(Wire(kind), model)
        if traits.retired_on is not None and traits.retired_on <= now.date() + WARN_BEFORE:
            warnings.append(ModelWarning(model, provider, told, traits.retired_on, traits.successor or ""))
        if (kind, model) not in priced:
            warnings.append(ModelWarning(model, provider, told))
    return tuple(warnings)
