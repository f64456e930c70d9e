"""The price versions that charges were made at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from gateway.models import Price


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
