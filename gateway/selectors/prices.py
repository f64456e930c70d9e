"""The price book, read: versions that charges were made at, models in use and those without a price."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Q

from gateway.engine.words import CompletionStatus
from gateway.models import Attempt, Completion, Price, Provider
from gateway.selectors.model_catalogue import routes_by_model
from gateway.selectors.outcomes import IN_TROUBLE

# How far back requests are looked through for models without a price, and how many of them at most.
UNPRICED_DAYS = 7
MOST_CHARGES = 10_000
_MOST_REFUSALS = 1_000


@dataclass(frozen=True, slots=True)
class PriceTerms:
    """US dollars per million tokens; None where a more general price holds. `valid_from` None means since ever.

    The `long_…` prices hold for calls with more than `long_context_above_tokens` input tokens.
    """

    id: int
    kind: str
    model: str
    input_per_mtok: Decimal
    cached_input_per_mtok: Decimal | None
    cache_write_per_mtok: Decimal | None
    cache_write_1h_per_mtok: Decimal | None
    output_per_mtok: Decimal
    reasoning_per_mtok: Decimal | None
    long_context_above_tokens: int | None
    long_input_per_mtok: Decimal | None
    long_cached_input_per_mtok: Decimal | None
    long_cache_write_per_mtok: Decimal | None
    long_cache_write_1h_per_mtok: Decimal | None
    long_output_per_mtok: Decimal | None
    web_searches_per_thousand: Decimal | None
    free: bool
    valid_from: datetime | None
    source: str


def price_terms(*, ids: Iterable[int]) -> tuple[PriceTerms, ...]:
    """These price versions, archived ones included, by model. At most one query."""
    wanted = set(ids)
    if not wanted:
        return ()
    columns = tuple(PriceTerms.__dataclass_fields__)
    rows = Price.objects.filter(pk__in=wanted).order_by("kind", "model", "pk").values_list(*columns)
    return tuple(PriceTerms(*row) for row in rows)


def models_in_use() -> frozenset[tuple[str, str]]:
    """(kind, model) of every target of a route in use. One query."""
    return frozenset(routes_by_model())


def models_priced(*, at: datetime) -> frozenset[tuple[str, str]]:
    """(kind, model) of every price that has begun. One query."""
    begun = Price.objects.alive().filter(Q(valid_from=None) | Q(valid_from__lte=at)).order_by()
    return frozenset(begun.values_list("kind", "model").distinct())


@dataclass(frozen=True, slots=True)
class UnpricedModel:
    """`routes` that have it as a target, and how many `refused` requests named it since UNPRICED_DAYS ago."""

    kind: str
    model: str
    routes: tuple[str, ...]
    refused: int


def unpriced_models(*, now: datetime) -> tuple[UnpricedModel, ...]:
    """Models that can't be used for want of a price, those of routes first. Four queries."""
    priced = models_priced(at=now)
    routes = routes_by_model()
    refused = _refused_models(now)
    found = ({*routes} | {*refused}) - priced
    models = [UnpricedModel(*key, routes.get(key, ()), refused.get(key, 0)) for key in found]
    return tuple(sorted(models, key=lambda one: (not one.routes, -one.refused, one.kind, one.model)))


def _refused_models(now: datetime) -> dict[tuple[str, str], int]:
    kinds = dict(Provider.objects.alive().values_list("name", "kind"))
    rows = Completion.objects.filter(
        IN_TROUBLE,
        created_at__gte=now - timedelta(days=UNPRICED_DAYS),
        status=CompletionStatus.REFUSED,
        error_code="all_targets_failed",
    ).order_by("-created_at")
    counts: dict[tuple[str, str], int] = {}
    for decision in rows.values_list("decision", flat=True)[:_MOST_REFUSALS]:
        for name in decision.get("unpriced", ()):
            provider, _, model = name.partition("/")
            if provider in kinds:
                key = (kinds[provider], model)
                counts[key] = counts.get(key, 0) + 1
    return counts


def charges_at(*, price_id: int) -> tuple[int, int]:
    """How many of the latest attempts were charged at this version, and how many those are: MOST_CHARGES at most, since
    counting all would read all."""
    latest = list(Attempt.objects.order_by("-pk").values_list("price_id", flat=True)[:MOST_CHARGES])
    return latest.count(price_id), len(latest)
