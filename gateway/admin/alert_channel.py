"""Alert channels. The address may hold a password: it can be entered, never read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin

from gateway.admin.base import ConfigurationAdmin, ConfigurationForm
from gateway.admin.fields import SecretField
from gateway.models import AlertChannel
from gateway.models.words import AlertEvent, choices
from gateway.services.configuration_entries import alert_url_problem


class AlertChannelForm(ConfigurationForm):
    url = SecretField(
        label="Address",
        help_text="Such as json://host/path, mailto://… or slack://…; stored encrypted. Empty: keep the stored one.",
    )
    events = forms.MultipleChoiceField(
        choices=choices(AlertEvent), widget=forms.CheckboxSelectMultiple, help_text="What it is told about."
    )

    class Meta:
        model = AlertChannel
        exclude = ()

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        url = data.get("url")
        if url:
            problem = alert_url_problem(url)
            if problem:
                raise forms.ValidationError({"url": f"The address {problem}."})
            self.instance.set_url(url)
        elif not self.instance.url_encrypted and "url" not in self.errors:
            raise forms.ValidationError({"url": "Enter the address."})
        return data


@admin.register(AlertChannel)
class AlertChannelAdmin(ConfigurationAdmin):
    form = AlertChannelForm
    list_display = ("name", "told")
    fieldsets = ((None, {"fields": ("name", "url", "events")}),)

    @admin.display(description="is told about")
    def told(self, row: AlertChannel) -> str:
        return ", ".join(event.replace("_", " ") for event in row.events)
