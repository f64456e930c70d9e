"""Addresses of the rows behind a number: the admin's lists, filtered, for those who may see them."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlencode

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse


def changelist_url(request: HttpRequest, model_name: str, **lookups: object) -> str:
    """The admin's list of `gateway` rows with these filters, or "" where the viewer may not see it."""
    return model_list_url(request, f"gateway.{model_name}", **lookups)


def model_list_url(request: HttpRequest, label: str, **lookups: object) -> str:
    """As `changelist_url`, for a model of any app: `app.Model`."""
    try:
        model = apps.get_model(label)
    except LookupError:
        return ""
    model_admin = admin.site._registry.get(model)
    if model_admin is None or not model_admin.has_view_permission(request):
        return ""
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{address}?{urlencode({key: _text(value) for key, value in lookups.items()})}" if lookups else address


def _text(value: object) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
