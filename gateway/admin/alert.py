"""Incidents and the messages about them: read-only but for acknowledging and trying again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action  # type: ignore[import-untyped]
from unfold.widgets import UnfoldAdminTextareaWidget  # type: ignore[import-untyped]

from gateway.admin.changes import ToldByChanges
from gateway.admin.confirm import confirm_page, is_confirmed
from gateway.admin.ledger import LedgerAdmin
from gateway.models import Alert, AlertDelivery
from gateway.services.incidents import NOTE_LENGTH, delivery_retry, incident_acknowledge, incident_names, message_names
from gateway.services.permissions import ACKNOWLEDGE_INCIDENTS, RETRY_MESSAGES


class AcknowledgeForm(forms.Form):
    note = forms.CharField(
        required=False, max_length=NOTE_LENGTH, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="What is being done about it, for those who look later. May stay empty.",
    )  # fmt: skip


@admin.register(Alert)
class AlertAdmin(ToldByChanges, LedgerAdmin):
    list_display = ("opened_at", "kind", "subject", "closed_at", "acknowledged_by", "note", "message")
    list_filter = ("kind", ("closed_at", admin.EmptyFieldListFilter), ("acknowledged_at", admin.EmptyFieldListFilter))
    search_fields = ("subject",)
    ordering = ("-opened_at", "-pk")
    fields = (
        "kind",
        "subject",
        "message",
        "opened_at",
        "closed_at",
        "closes_at",
        "acknowledged_at",
        "acknowledged_by",
        "note",
    )
    actions = ("acknowledge",)
    actions_detail = ("acknowledge_one",)

    def change_names(self, row: Alert) -> tuple[str, str]:
        return incident_names(row)

    @admin.action(description="Acknowledge: somebody sees to it", permissions=["acknowledge"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        done = sum(
            incident_acknowledge(alert=row, actor=str(request.user), note="", now=timezone.now()) for row in queryset
        )
        self.message_user(request, f"{done} acknowledged.", messages.SUCCESS if done else messages.INFO)

    @action(description="Acknowledge", url_path="acknowledge", permissions=["acknowledge_one"], icon="how_to_reg")  # type: ignore[untyped-decorator]
    def acknowledge_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """With a note, if there is something to say."""
        alert = get_object_or_404(Alert, pk=object_id)
        form = AcknowledgeForm(request.POST or None)
        if form.is_valid():
            note = form.cleaned_data["note"]
            incident_acknowledge(alert=alert, actor=str(request.user), note=note, now=timezone.now())
            self.message_user(request, f"{alert.acknowledged_by} sees to it.", messages.SUCCESS)
            return redirect(reverse("admin:gateway_alert_change", args=[alert.pk]))
        context = {**self.admin_site.each_context(request), "title": f"Acknowledge {alert}", "opts": Alert._meta}
        return render(request, "admin/gateway/alert/acknowledge.html", {**context, "original": alert, "form": form})

    def has_acknowledge_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(ACKNOWLEDGE_INCIDENTS))

    def has_acknowledge_one_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """The button goes once somebody has acknowledged; asking costs a query only where the page of one row asks."""
        unseen = object_id is None or Alert.objects.filter(pk=object_id, acknowledged_at__isnull=True).exists()
        return unseen and self.has_acknowledge_permission(request)


@admin.register(AlertDelivery)
class AlertDeliveryAdmin(ToldByChanges, LedgerAdmin):
    """What was sent to whom and what came of it. Addresses stand nowhere here."""

    list_display = ("title", "channel_name", "result", "tries", "next_try", "last_error")
    list_filter = (
        "event",
        "channel_name",
        ("delivered_at", admin.EmptyFieldListFilter),
        ("given_up_at", admin.EmptyFieldListFilter),
    )
    ordering = ("-pk",)
    fields = ("title", "body", "channel_name", "tries", "next_try_at", "delivered_at", "given_up_at", "last_error")
    actions = ("retry",)
    actions_detail = ("retry_one",)

    def change_names(self, row: AlertDelivery) -> tuple[str, str]:
        return message_names(row)

    @admin.display(description="result")
    def result(self, row: AlertDelivery) -> str:
        if row.delivered_at is not None:
            return f"arrived {timezone.localtime(row.delivered_at):%Y-%m-%d %H:%M:%S}"
        return "given up" if row.given_up_at is not None else "waiting"

    @admin.display(description="next try")
    def next_try(self, row: AlertDelivery) -> Any:
        return None if row.delivered_at or row.given_up_at else row.next_try_at

    @admin.action(description="Try again now", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[AlertDelivery]) -> None:
        due = sum(delivery_retry(delivery=row, actor=str(request.user), now=timezone.now()) for row in queryset)
        text = f"{due} will be sent within seconds." if due else "They had all arrived: nothing to send."
        self.message_user(request, text, messages.SUCCESS if due else messages.INFO)

    @action(description="Try again now", url_path="retry", permissions=["retry_one"], icon="refresh")  # type: ignore[untyped-decorator]
    def retry_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A page that asks first: links are followed by more than people."""
        row = get_object_or_404(AlertDelivery, pk=object_id)
        back_url = reverse("admin:gateway_alertdelivery_change", args=[row.pk])
        if is_confirmed(request):
            self.retry(request, AlertDelivery.objects.filter(pk=row.pk))
            return redirect(back_url)
        context = {**self.admin_site.each_context(request), "opts": AlertDelivery._meta, "original": row}
        return confirm_page(
            request, context, title=f"Send {row.title} again", back_url=back_url, button="Try again now",
            sentences=(f"It goes to {row.channel_name} within seconds, with all its tries before it.",),
        )  # fmt: skip

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(RETRY_MESSAGES))

    def has_retry_one_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        waits = object_id is None or AlertDelivery.objects.filter(pk=object_id, delivered_at__isnull=True).exists()
        return waits and self.has_retry_permission(request)
