"""What models cost: versions that are only ever added, so that every charge keeps the price it was made at."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from gateway import bounds
from gateway.engine.words import Wire
from gateway.models.base import MODEL_NAME, ConfigurationRow, inside, one_of, within
from gateway.models.words import PriceSource, choices

# What holds above the threshold: all of the required ones or nothing.
_LONG_REQUIRED = ("long_context_above_tokens", "long_input_per_mtok", "long_output_per_mtok")
LONG_CONTEXT_COLUMNS = (
    *_LONG_REQUIRED,
    "long_cached_input_per_mtok",
    "long_cache_write_per_mtok",
    "long_cache_write_1h_per_mtok",
)


def long_context_problem(values: Mapping[str, Any]) -> tuple[str, str] | None:
    """What is wrong with a price's columns for long context: the column and a sentence, or None."""
    if all(value is None for value in values.values()):
        return None
    missing = next((name for name in _LONG_REQUIRED if values[name] is None), None)
    if missing is not None:
        return missing, "Prices for long context need the threshold, an input and an output price; fill in this too."
    if not values["long_input_per_mtok"]:
        return "long_input_per_mtok", "Must be more than 0; no provider gives long context away."
    return None


class PriceField(models.DecimalField):  # type: ignore[type-arg]
    """US dollars per million tokens."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs |= {"max_digits": 16, "decimal_places": 6}
        kwargs.setdefault("validators", inside(bounds.PRICE_PER_MTOK))
        super().__init__(*args, **kwargs)


class Price(ConfigurationRow):
    """One version of a model's price. An override hides the seeded versions from its own `valid_from` on."""

    kind = models.CharField(max_length=12, choices=choices(Wire))
    model = models.CharField(max_length=200, validators=[MODEL_NAME])
    input_per_mtok = PriceField("input", help_text="US dollars per million tokens that go in.")
    cached_input_per_mtok = PriceField(
        "cached input", null=True, blank=True, help_text="Tokens read from the provider's cache. Empty: as input."
    )
    cache_write_per_mtok = PriceField(
        "cache write", null=True, blank=True, help_text="Tokens written to the provider's cache. Empty: as input."
    )
    cache_write_1h_per_mtok = PriceField(
        "one-hour cache write", null=True, blank=True, help_text="Kept for an hour. Empty: as cache write."
    )
    output_per_mtok = PriceField("output", help_text="US dollars per million tokens that come out.")
    reasoning_per_mtok = PriceField(
        "reasoning", null=True, blank=True, help_text="Tokens that the model thinks. Empty: as output."
    )
    long_context_above_tokens = models.PositiveIntegerField(
        "long context above",
        null=True,
        blank=True,
        validators=inside(bounds.LONG_CONTEXT_TOKENS),
        help_text="Input tokens above which the prices here hold for the whole call. Empty: no such prices.",
    )
    long_input_per_mtok = PriceField("long input", null=True, blank=True)
    long_cached_input_per_mtok = PriceField(
        "long cached input", null=True, blank=True, help_text="Empty: as long input."
    )
    long_cache_write_per_mtok = PriceField("long cache write", null=True, blank=True, help_text="Empty: as long input.")
    long_cache_write_1h_per_mtok = PriceField(
        "long one-hour cache write", null=True, blank=True, help_text="Empty: as long cache write."
    )
    long_output_per_mtok = PriceField("long output", null=True, blank=True, help_text="Reasoning included.")
    web_searches_per_thousand = PriceField(
        "thousand web searches",
        null=True,
        blank=True,
        help_text="US dollars for a thousand searches that the provider runs. Empty: unknown, "
        "so a request that searched is marked as estimated.",
    )
    batch_factor = models.DecimalField(
        max_digits=8,
        decimal_places=6,
        default=Decimal("0.5"),
        validators=inside(bounds.BATCH_FACTOR),
        help_text="Batches cost this many times the price.",
    )
    free = models.BooleanField(default=False, help_text="Costs nothing; without this a price of zero is refused.")
    valid_from = models.DateTimeField(null=True, blank=True, help_text="Empty: since ever.")
    source = models.CharField(
        max_length=10, choices=choices(PriceSource), default=PriceSource.OVERRIDE.value, editable=False
    )
    note = models.CharField(max_length=300, default="", blank=True, help_text="What this price leaves out.")

    class Meta:
        db_table = "llmops_price"
        ordering = ["kind", "model", "source", "valid_from", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "model", "source", "valid_from"],
                condition=Q(archived_at__isnull=True, valid_from__isnull=False),
                name="price_version_in_use",
            ),
            models.UniqueConstraint(
                fields=["kind", "model", "source"],
                condition=Q(archived_at__isnull=True, valid_from__isnull=True),
                name="price_base_in_use",
            ),
            one_of("kind", Wire, "price_kind"),
            one_of("source", PriceSource, "price_source"),
            within(
                "price_numbers",
                input_per_mtok=bounds.PRICE_PER_MTOK,
                cached_input_per_mtok=bounds.PRICE_PER_MTOK,
                cache_write_per_mtok=bounds.PRICE_PER_MTOK,
                cache_write_1h_per_mtok=bounds.PRICE_PER_MTOK,
                output_per_mtok=bounds.PRICE_PER_MTOK,
                reasoning_per_mtok=bounds.PRICE_PER_MTOK,
                long_context_above_tokens=bounds.LONG_CONTEXT_TOKENS,
                long_input_per_mtok=bounds.PRICE_PER_MTOK,
                long_cached_input_per_mtok=bounds.PRICE_PER_MTOK,
                long_cache_write_per_mtok=bounds.PRICE_PER_MTOK,
                long_cache_write_1h_per_mtok=bounds.PRICE_PER_MTOK,
                long_output_per_mtok=bounds.PRICE_PER_MTOK,
                web_searches_per_thousand=bounds.PRICE_PER_MTOK,
                batch_factor=bounds.BATCH_FACTOR,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.model}"

    def clean(self) -> None:
        if not self.free and self.input_per_mtok is not None and not self.input_per_mtok:
            raise ValidationError(
                {"input_per_mtok": "Must be more than 0; a model that costs nothing must be marked as free."}
            )
        if self.free and (self.input_per_mtok or self.output_per_mtok):
            raise ValidationError({"free": "A free model can't have a price."})
        problem = long_context_problem({name: getattr(self, name) for name in LONG_CONTEXT_COLUMNS})
        if problem:
            raise ValidationError(dict([problem]))
