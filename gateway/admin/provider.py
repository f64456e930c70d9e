"""Providers: where requests go. The API key can be entered, never read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin

from gateway.admin.base import ConfigurationAdmin, ConfigurationForm
from gateway.admin.fields import HeadersField, SecretField
from gateway.models import Provider


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
        ("Load", {"fields": ("max_in_flight", "max_queued", "queue_timeout_seconds", "extra_headers")}),
    )

    @admin.display(description="API key")
    def key_from(self, row: Provider) -> str:
        if row.api_key_env:
            return f"variable {row.api_key_env}"
        return "stored, encrypted" if row.api_key_encrypted else "none"

    @admin.display(description="breaker")
    def forced(self, row: Provider) -> str:
        return f"forced {row.forced_breaker}" if row.forced_breaker else "automatic"
