"""Providers: where requests go. The API key can be entered, never read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from unfold.decorators import action  # type: ignore[import-untyped]
from unfold.widgets import UnfoldBooleanSwitchWidget  # type: ignore[import-untyped]

from gateway.admin.base import ConfigurationAdmin, ConfigurationForm
from gateway.admin.confirm import is_confirmed
from gateway.admin.fields import HeadersField, SecretField
from gateway.models import Provider
from gateway.services.archive_words import disable_consequences
from gateway.services.breakers import breaker_force_closed, breaker_force_open, breaker_release
from gateway.services.provider_health import provider_test
from gateway.services.snapshot_load import provider_of

_ORDERS = {"open": breaker_force_open, "closed": breaker_force_closed, None: breaker_release}


class ProviderForm(ConfigurationForm):
    api_key = SecretField(
        label="API key", help_text="Stored encrypted. Leave empty to keep the stored one; naming a variable forgets it."
    )
    extra_headers = HeadersField(help_text="Sent with every call, one Name: value a line. Not the place for secrets.")
    sure = forms.BooleanField(
        label="Switch it off although it is in use",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Needed where routes send requests to it.",
    )

    class Meta:
        model = Provider
        exclude = ()

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        plain, variable = data.get("api_key"), data.get("api_key_env")
        if plain and variable:
            self.add_error("api_key", "Give the API key by variable or store it here, not both.")
        elif plain:
            self.instance.set_api_key(plain)
        elif variable:
            self.instance.api_key_encrypted = ""
        if not data.get("forced_breaker"):
            data["forced_breaker"] = None
        self._check_switched_off(data)
        return data

    def _check_switched_off(self, data: dict[str, Any]) -> None:
        """Asks before requests are turned away from what they use."""
        if data.get("enabled") or "enabled" not in self.changed_data or data.get("sure") or not self.instance.pk:
            return
        stored = Provider.objects.get(pk=self.instance.pk)
        if sentences := disable_consequences(stored):
            self.add_error("enabled", [*sentences, f"If that is meant, switch on “{self.fields['sure'].label}”."])


@admin.register(Provider)
class ProviderAdmin(ConfigurationAdmin):
    form = ProviderForm
    form_only = frozenset({"api_key", "sure"})
    readonly_fields = ("key_in_use",)
    conditional_fields = {"sure": "enabled == false"}
    actions_detail = ("test_now", *ConfigurationAdmin.actions_detail)
    list_display = ("name", "kind", "base_url", "key_from", "forced", "enabled")
    list_filter = (*ConfigurationAdmin.list_filter, "kind", "enabled")
    fieldsets = (
        (None, {"fields": ("name", "kind", "base_url", "enabled", "sure")}),
        ("API key", {"fields": ("key_in_use", "api_key", "api_key_env")}),
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

    @action(description="Test now", url_path="test-now", permissions=["archive_row"], icon="network_check")  # type: ignore[untyped-decorator]
    def test_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """One real minimal call with the saved settings, after a question: it may cost a fraction of a cent."""
        row = get_object_or_404(Provider.objects.alive(), pk=object_id)
        if not is_confirmed(request):
            sentence = (
                f"One minimal request goes to {row.base_url} with the saved key. It moves no breaker and costs next to "
                "nothing. Save changes first."
            )
            return self._ask(request, f"Test {row} now?", [sentence], self._row_url(row), "Test now")
        probe = provider_test(provider=row, actor=str(request.user))
        self.message_user(request, f"{row}: {probe.words}", messages.SUCCESS if probe.ok else messages.ERROR)
        return redirect(self._row_url(row))

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

    @admin.display(description="key in use")
    def key_in_use(self, row: Provider) -> str:
        """Never the key itself."""
        if row.api_key_env:
            if provider_of(row).api_key is not None:
                return f"From the environment variable {row.api_key_env}, which is set."
            return (
                f"From the environment variable {row.api_key_env}, which is not set: calls will be turned down. "
                "Set it where the gateway runs and start it again."
            )
        if row.api_key_encrypted:
            return "The one stored here, encrypted. It is never shown again; enter another to replace it."
        return "None: calls will be turned down. Enter a key, or name the environment variable that holds it."

    @admin.display(description="breaker")
    def forced(self, row: Provider) -> str:
        return f"forced {row.forced_breaker}" if row.forced_breaker else "automatic"
