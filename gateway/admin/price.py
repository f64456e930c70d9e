"""Prices: a version is added, never changed, so that every charge can be explained by the price it was made at."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from unfold.decorators import action  # type: ignore[import-untyped]
from unfold.widgets import UnfoldBooleanSwitchWidget  # type: ignore[import-untyped]

from gateway.admin import price_pages
from gateway.admin.base import ConfigurationAdmin, ConfigurationForm
from gateway.admin.confirm import is_confirmed
from gateway.ledger.money import usd_text
from gateway.models import Price
from gateway.models.words import PriceSource
from gateway.selectors.prices import charges_at
from gateway.services.archive import configuration_archive
from gateway.services.archive_words import price_consequences
from gateway.services.price_book import archive_effects


class PriceForm(ConfigurationForm):
    """A new override takes the place of the one in use only where that is said: the two share model and date."""

    always_checked = frozenset({"archived_at"})

    supersede = forms.BooleanField(
        label="Replace the version in use",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Needed where a price of yours for this model begins at the same time.",
    )

    class Meta:
        model = Price
        exclude = ()

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        replaced = superseded(data.get("kind"), data.get("model"), data.get("valid_from")).first()
        if replaced is not None and not data.get("supersede"):
            since = f"from {replaced.valid_from:%Y-%m-%d %H:%M} UTC" if replaced.valid_from else "since ever"
            self.add_error(
                "supersede",
                f"Version {replaced.pk} of {replaced.model} ({usd_text(replaced.input_per_mtok)} in, "
                f"{usd_text(replaced.output_per_mtok)} out, {since}) is in use. Switch on “Replace the version in use” "
                "to supersede it, or give another time in “Valid from”.",
            )
        return data


def superseded(kind: Any, model: Any, valid_from: Any) -> QuerySet[Price]:
    """The override in use that begins at the same time, if any."""
    own: QuerySet[Price] = Price.objects.alive().filter(source=PriceSource.OVERRIDE)
    return own.filter(kind=kind, model=model, valid_from=valid_from)


@admin.register(Price)
class PriceAdmin(ConfigurationAdmin):
    form = PriceForm
    form_only = frozenset({"supersede"})
    list_display = ("model", "kind", "source", "goes_in", "cached", "comes_out", "long", "begins")
    list_filter = (*ConfigurationAdmin.list_filter, "kind", "source", "free")
    search_fields = ("model",)
    ordering = ("kind", "model", "valid_from", "pk")
    actions_list = ("refresh_prices", "unpriced")
    actions_detail = ("new_version", *ConfigurationAdmin.actions_detail)
    readonly_fields = ("charged",)
    fieldsets: Any = (
        (None, {"fields": ("kind", "model", "free", "valid_from", "note")}),
        (
            "US dollars per million tokens",
            {
                "fields": (
                    ("input_per_mtok", "cached_input_per_mtok"),
                    ("cache_write_per_mtok", "cache_write_1h_per_mtok"),
                    ("output_per_mtok", "reasoning_per_mtok"),
                    "batch_factor",
                )
            },
        ),
        (
            "Long context",
            {
                "fields": (
                    "long_context_above_tokens",
                    ("long_input_per_mtok", "long_cached_input_per_mtok"),
                    ("long_cache_write_per_mtok", "long_cache_write_1h_per_mtok"),
                    "long_output_per_mtok",
                ),
                "description": "Above so many input tokens these hold for every token of the call, output too.",
            },
        ),
        ("Fees", {"fields": ("web_searches_per_thousand",)}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        last = {"fields": ("supersede",) if obj is None else ("charged",)}
        return (*self.fieldsets, ("Versions", last))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The list's actions may archive; a version itself stays as it is."""
        return obj is None and bool(super().has_change_permission(request, obj))

    def has_new_version_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return bool(self.has_add_permission(request))

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        obj.source = PriceSource.OVERRIDE.value
        for replaced in superseded(obj.kind, obj.model, obj.valid_from):
            replaced.archive()
            replaced.save(update_fields=["archived_at"])
            text = f"Version {replaced.pk} of {replaced.model} is superseded; what was charged at it keeps its price."
            self.message_user(request, text, messages.INFO)
        super().save_model(request, obj, form, change)

    @admin.action(description="Archive: take out of use", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Asks first where a price in force of a model in use is among them."""
        rows = list(queryset.filter(archived_at__isnull=True))
        effects = archive_effects(rows, at=timezone.now())
        if effects and not is_confirmed(request):
            words, back = price_consequences(rows), self._list_url()
            return self._ask(request, "Archive prices in use?", words, back, "Archive", action="archive", rows=rows)
        self._each(request, rows, configuration_archive, "archived")
        return None

    @action(description="Refresh prices", url_path="refresh", permissions=["change"], icon="sync")  # type: ignore[untyped-decorator]
    def refresh_prices(self, request: HttpRequest) -> HttpResponse:
        """What the installed price list has new, and taking it over."""
        return price_pages.refresh_page(request, self._context(request))

    @action(description="Models without a price", url_path="unpriced", permissions=["view"], icon="help")  # type: ignore[untyped-decorator]
    def unpriced(self, request: HttpRequest) -> HttpResponse:
        """Models that routes or agents name and that can't be used for want of a price."""
        return price_pages.unpriced_page(request, self._context(request))

    @action(description="New version", url_path="new-version", permissions=["new_version"], icon="edit")  # type: ignore[untyped-decorator]
    def new_version(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The form for a price, filled in with this one."""
        return redirect(price_pages.new_version_url(get_object_or_404(Price, pk=object_id)))

    def _context(self, request: HttpRequest) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": Price._meta}

    @admin.display(description="input per million", ordering="input_per_mtok")
    def goes_in(self, row: Price) -> str:
        return "free" if row.free else _dollars(row.input_per_mtok)

    @admin.display(description="cached per million")
    def cached(self, row: Price) -> str:
        return _dollars(row.cached_input_per_mtok)

    @admin.display(description="output per million", ordering="output_per_mtok")
    def comes_out(self, row: Price) -> str:
        return "free" if row.free else _dollars(row.output_per_mtok)

    @admin.display(description="long context")
    def long(self, row: Price) -> str:
        if row.long_context_above_tokens is None:
            return ""
        told = " / ".join(filter(None, map(_dollars, (row.long_input_per_mtok, row.long_output_per_mtok))))
        return f"{told} above {row.long_context_above_tokens:,} tokens"

    @admin.display(description="valid from", ordering="valid_from")
    def begins(self, row: Price) -> Any:
        if row.valid_from is not None and row.valid_from > timezone.now():
            return f"{timezone.localtime(row.valid_from):%Y-%m-%d %H:%M}, to come"
        return row.valid_from

    @admin.display(description="charged at this version")
    def charged(self, row: Price) -> str:
        count, latest = charges_at(price_id=row.pk)
        if not latest:
            return "nothing yet"
        return f"{count:,} of the latest {latest:,} attempts; what was charged keeps its price whatever follows"


def _dollars(per_mtok: Decimal | None) -> str:
    return "" if per_mtok is None else f"${usd_text(per_mtok)}"
