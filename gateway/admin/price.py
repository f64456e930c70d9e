"""Prices: a version is added, never changed, so that every charge can be explained by the price it was made at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from gateway.admin.base import ConfigurationAdmin, ConfigurationForm
from gateway.models import Price
from gateway.models.words import PriceSource


class PriceForm(ConfigurationForm):
    """A new override takes the place of the one in use, so the two may share model and date."""

    always_checked = frozenset({"archived_at"})

    class Meta:
        model = Price
        exclude = ()


@admin.register(Price)
class PriceAdmin(ConfigurationAdmin):
    form = PriceForm
    list_display = ("model", "kind", "input_per_mtok", "cached", "output_per_mtok", "free", "valid_from", "source")
    list_filter = (*ConfigurationAdmin.list_filter, "kind", "source", "free")
    search_fields = ("model",)
    ordering = ("kind", "model", "valid_from", "pk")
    fieldsets = (
        (None, {"fields": ("kind", "model", "free", "valid_from", "note")}),
        (
            "US dollars per million tokens",
            {
                "fields": (
                    "input_per_mtok",
                    "cached_input_per_mtok",
                    "cache_write_per_mtok",
                    "cache_write_1h_per_mtok",
                    "output_per_mtok",
                    "batch_factor",
                )
            },
        ),
    )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The list's actions may archive; a version itself stays as it is."""
        return obj is None and bool(super().has_change_permission(request, obj))

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        obj.source = PriceSource.OVERRIDE.value
        replaced = Price.objects.alive().filter(
            source=obj.source, kind=obj.kind, model=obj.model, valid_from=obj.valid_from
        )
        replaced.update(archived_at=timezone.now())
        super().save_model(request, obj, form, change)

    @admin.display(description="cached input")
    def cached(self, row: Price) -> Any:
        return row.cached_input_per_mtok
