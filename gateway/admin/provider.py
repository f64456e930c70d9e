"""Providers: where requests go. The API key can be entered, never read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from gateway.admin.base import ConfigurationAdmin, ConfigurationForm
from gateway.admin.fields import HeadersField, SecretField
from gateway.models import Provider
from gateway.services.breakers import breaker_force_closed, breaker_force_open, breaker_release

_ORDERS = {"open": breaker_force_open, "closed": breaker_force_closed, None: breaker_release}


class ProviderForm(ConfigurationForm):
    api_key = SecretField(
        label="API key", help_text="Stored encrypted. Leave empty to keep the stored one; naming a variable forgets it."
    )
    extra_headers = HeadersField(help_text="Sent with every call, one Name: value a line. Not the place for secrets.")

    class Meta:
        model = Provider
        exclude = ()

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        plain, variable = data.get("api_key"), data.get("api_key_env")
        if plain and variable:
            raise forms.ValidationError("Give the API key by variable or store it here, not both.")
        if plain:
            self.instance.set_api_key(plain)
        elif variable:
            self.instance.api_key_encrypted = ""
        if not data.get("forced_breaker"):
            data["forced_breaker"] = None
        return data


@admin.register(Provider)
class ProviderAdmin(ConfigurationAdmin):
    form = ProviderForm
    list_display = ("name", "kind", "base_url", "key_from", "forced", "enabled")
    list_filter = (*ConfigurationAdmin.list_filter, "kind", "enabled")
    fieldsets = (
        (None, {"fields": ("name", "kind", "base_url", "enabled")}),
        ("API key", {"fields": ("api_key", "api_key_env")}),
        (
            "Time",
            {
                "fields": (
                    "attempt_timeout_seconds",
                    "connect_timeout_seconds",
                    "first_token_timeout_seconds",
                    "stall_timeout_seconds",
                    "stream_max_seconds",
                )
            },
        ),
        (
            "Retries",
            {
                "fields": (
                    "retries",
                    "backoff_seconds",
                    "backoff_max_seconds",
                    "retry_after_max_seconds",
                    "retry_budget_percent",
                    "retry_budget_floor_per_second",
                )
            },
        ),
        (
            "Breaker",
            {
                "fields": (
                    "breaker_failure_threshold",
                    "breaker_cooldown_seconds",
                    "forced_breaker",
                    "forced_breaker_reason",
                )
            },
        ),
        ("Health", {"fields": ("health_probe_every_seconds", "health_probe_model")}),
        ("Load", {"fields": ("max_in_flight", "max_queued", "queue_timeout_seconds", "extra_headers")}),
    )

    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: bool) -> None:
        """An order to the breaker is no column like others: it goes the way of every such order, after the rest."""
        order, reason = obj.forced_breaker or None, obj.forced_breaker_reason
        stored = Provider.objects.filter(pk=obj.pk).values_list("forced_breaker", "forced_breaker_reason").first()
        obj.forced_breaker, obj.forced_breaker_reason = stored or (None, "")
        super().save_model(request, obj, form, change)
        if (order or obj.forced_breaker) and (order, reason) != (obj.forced_breaker, obj.forced_breaker_reason):
            form.breaker_order = (order, reason)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        order: tuple[str | None, str] | None = getattr(form, "breaker_order", None)
        if order is not None:
            _ORDERS[order[0]](provider=form.instance, reason=order[1], actor=str(request.user))

    @admin.display(description="API key")
    def key_from(self, row: Provider) -> str:
        if row.api_key_env:
            return f"variable {row.api_key_env}"
        return "stored, encrypted" if row.api_key_encrypted else "none"

    @admin.display(description="breaker")
    def forced(self, row: Provider) -> str:
        return f"forced {row.forced_breaker}" if row.forced_breaker else "automatic"
