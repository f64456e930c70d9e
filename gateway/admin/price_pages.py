"""Pages around prices: what a refresh would change, and models without a price."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from gateway.models import Price
from gateway.selectors.prices import UNPRICED_DAYS, UnpricedModel, unpriced_models
from gateway.services.price_refresh import price_refresh, price_refresh_preview

# What a new version takes over from the one it follows.
_CARRIED = (
    "kind",
    "model",
    "input_per_mtok",
    "cached_input_per_mtok",
    "cache_write_per_mtok",
    "cache_write_1h_per_mtok",
    "output_per_mtok",
    "reasoning_per_mtok",
    "batch_factor",
    "long_context_above_tokens",
    "long_input_per_mtok",
    "long_cached_input_per_mtok",
    "long_cache_write_per_mtok",
    "long_cache_write_1h_per_mtok",
    "long_output_per_mtok",
    "web_searches_per_thousand",
    "note",
)


def refresh_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """GET shows what the installed price list has new; POST takes over what was ticked, or all of it."""
    if request.method == "POST":
        keys = None if request.POST.get("which") == "all" else request.POST.getlist("key")
        taken = price_refresh(actor=str(request.user), keys=keys)
        level = messages.SUCCESS if taken else messages.WARNING
        messages.add_message(request, level, f"{len(taken)} list price{'s' if len(taken) != 1 else ''} taken over.")
        return redirect(reverse("admin:gateway_price_changelist"))
    page = {"title": "Refresh prices", "changes": price_refresh_preview()}
    return render(request, "admin/gateway/price/refresh.html", {**context, **page})


def unpriced_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    models = [(one, add_url(kind=one.kind, model=one.model)) for one in _unpriced()]
    page = {"title": "Models without a price", "models": models, "days": UNPRICED_DAYS}
    return render(request, "admin/gateway/price/unpriced.html", {**context, **page})


def add_url(**values: Any) -> str:
    """The form for a new price, filled in."""
    return f"{reverse('admin:gateway_price_add')}?{urlencode(values)}"


def new_version_url(row: Price) -> str:
    values = {name: getattr(row, name) for name in _CARRIED}
    filled = {name: value for name, value in values.items() if value not in (None, "")}
    return add_url(**filled, **({"free": "on"} if row.free else {}))


def _unpriced() -> tuple[UnpricedModel, ...]:
    return unpriced_models(now=timezone.now())
