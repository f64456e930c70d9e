"""Incidents and the messages about them: read-only but for acknowledging and trying again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from gateway.admin.ledger import LedgerAdmin
from gateway.models import Alert, AlertDelivery
from gateway.services.incidents import delivery_retry, incident_acknowledge
from gateway.services.permissions import ACKNOWLEDGE_INCIDENTS, RETRY_MESSAGES


@admin.register(Alert)
class AlertAdmin(LedgerAdmin):
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

    @admin.action(description="Acknowledge: somebody sees to it", permissions=["acknowledge"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        done = sum(
            incident_acknowledge(alert=row, actor=str(request.user), note="", now=timezone.now()) for row in queryset
        )
        self.message_user(request, f"{done} acknowledged.", messages.SUCCESS if done else messages.INFO)

    def has_acknowledge_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(ACKNOWLEDGE_INCIDENTS))


@admin.register(AlertDelivery)
class AlertDeliveryAdmin(LedgerAdmin):
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
        due = sum(delivery_retry(delivery=row, now=timezone.now()) for row in queryset)
        text = f"{due} will be sent within seconds." if due else "They had all arrived: nothing to send."
        self.message_user(request, text, messages.SUCCESS if due else messages.INFO)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(RETRY_MESSAGES))
