"""Alert channels. The address may hold a password: it can be entered, never read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from unfold.decorators import action  # type: ignore[import-untyped]

from gateway.admin.base import ConfigurationAdmin, ConfigurationForm
from gateway.admin.fields import SecretField
from gateway.models import AlertChannel
from gateway.models.alert_channel import ALL_EVENTS
from gateway.models.words import AlertEvent, choices
from gateway.services.configuration_entries import alert_url_problem
from gateway.services.incidents import channel_test

MOST_TESTS = 5  # a slow channel takes seconds, and somebody waits for the page


class AlertChannelForm(ConfigurationForm):
    url = SecretField(
        label="Address",
        help_text="A webhook (https://…, gets JSON) or what Apprise knows: mailto://…, slack://…. "
        "Stored encrypted, never shown. Empty: keep the stored one.",
    )
    events = forms.MultipleChoiceField(
        choices=[(ALL_EVENTS, "everything, also what a later release adds"), *choices(AlertEvent)],
        initial=[ALL_EVENTS],
        widget=forms.CheckboxSelectMultiple,
        help_text="What it is told about: everything, or the events ticked.",
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
    form_only = frozenset({"url"})
    list_display = ("name", "told")
    actions = (*ConfigurationAdmin.actions, "send_test")
    actions_detail = ("send_test_now", *ConfigurationAdmin.actions_detail)
    fieldsets = ((None, {"fields": ("name", "url", "events")}),)

    @admin.display(description="is told about")
    def told(self, row: AlertChannel) -> str:
        if ALL_EVENTS in row.events:
            return "everything"
        return ", ".join(event.replace("_", " ") for event in row.events)

    @action(description="Send test", url_path="send-test", permissions=["change"])  # type: ignore[untyped-decorator]
    def send_test_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A page that asks first: links are followed by more than people."""
        channel = get_object_or_404(AlertChannel.objects.alive(), pk=object_id)
        if request.method == "POST":
            self._test(request, channel)
            return redirect(reverse("admin:gateway_alertchannel_change", args=[channel.pk]))
        context = {**self.admin_site.each_context(request), "title": f"Send a test to {channel.name}"}
        context |= {"opts": AlertChannel._meta, "original": channel}
        return render(request, "admin/gateway/alertchannel/send_test.html", context)

    @admin.action(description="Send a test message", permissions=["change"])
    def send_test(self, request: HttpRequest, queryset: QuerySet[AlertChannel]) -> None:
        for channel in queryset.filter(archived_at__isnull=True)[:MOST_TESTS]:
            self._test(request, channel)

    def _test(self, request: HttpRequest, channel: AlertChannel) -> None:
        problem = channel_test(channel=channel, actor=str(request.user))
        if problem is None:
            self.message_user(request, f"{channel.name} took the test message.", messages.SUCCESS)
        else:
            self.message_user(request, f"The test did not reach {channel.name}: {problem}.", messages.ERROR)
