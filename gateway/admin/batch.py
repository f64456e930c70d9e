"""Batches as operations see them: how far each is, what it cost, where its parts are. Contents are not shown."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest
from unfold.admin import ModelAdmin  # type: ignore[import-untyped]

from gateway.admin.changes import ToldByChanges
from gateway.admin.ledger import LedgerInline, ReadOnly
from gateway.engine.batch import LineOutcome
from gateway.engine.errors import InvalidRequest
from gateway.ledger.money import pico_to_usd, usd_text
from gateway.models import Batch, BatchJob
from gateway.selectors.batches import fault_words
from gateway.services.batch_create import batch_cancel_by


class JobInline(LedgerInline):
    model = BatchJob
    verbose_name_plural = "parts at the providers"
    fields = ("provider", "model", "state", "upstream_id", "created_at", "message")
    readonly_fields = fields
    ordering = ("pk",)


@admin.register(Batch)
class BatchAdmin(ToldByChanges, ReadOnly, ModelAdmin):  # type: ignore[misc]
    list_display = ("id", "created_at", "team", "wire", "progress", "status", "cost", "ended_at")
    list_filter = ("state", "wire")
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("id",)
    ordering = ("-created_at", "-id")
    actions = ("cancel",)
    inlines = (JobInline,)
    compressed_fields = True
    fields = (
        "id",
        "team",
        "api_key_name",
        "wire",
        "endpoint",
        "status",
        "progress",
        "outcomes",
        "cost",
        "reserved",
        "faults",
        "created_at",
        "in_progress_at",
        "cancelling_at",
        "expires_at",
        "ended_at",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Batch]:
        open_lines = Q(lines__outcome="")
        counts = {
            word.value: Count("lines", filter=Q(lines__outcome=word.value))
            for word in LineOutcome
            if word is not LineOutcome.NONE
        }
        rows: QuerySet[Batch] = super().get_queryset(request)
        return rows.annotate(
            booked=Sum("lines__cost_usd"), held=Sum("lines__reserved_usd", filter=open_lines), **counts
        )

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("gateway.change_batch"))

    def change_names(self, row: Batch) -> tuple[str, str]:
        return "batches", row.pk

    @admin.display(description="team", ordering="team_name")
    def team(self, row: Batch) -> str:
        return row.team_name or "no team"

    @admin.display(description="status", ordering="state")
    def status(self, row: Batch) -> str:
        if row.ended_at is None and row.cancelling_at is not None:
            return "being cancelled"
        return {"reserving": "asking the budgets", "validating": "reading its file"}.get(
            row.state, row.state.replace("_", " ")
        )

    @admin.display(description="done")
    def progress(self, row: Any) -> str:
        done = row.succeeded + row.errored + row.expired + row.cancelled
        return f"{done:,} of {row.line_count:,}"

    @admin.display(description="how its lines ended")
    def outcomes(self, row: Any) -> str:
        told = [f"{getattr(row, word.value):,} {word.value}" for word in LineOutcome if word is not LineOutcome.NONE]
        return ", ".join(told)

    @admin.display(description="cost")
    def cost(self, row: Any) -> str:
        return _dollars(row.booked)

    @admin.display(description="reserved for lines under way")
    def reserved(self, row: Any) -> str:
        return _dollars(row.held)

    @admin.display(description="why it failed")
    def faults(self, row: Batch) -> str:
        return "; ".join(fault_words(row)) or "it did not"

    @admin.action(description="Cancel", permissions=("cancel",))
    def cancel(self, request: HttpRequest, queryset: QuerySet[Batch]) -> None:
        for batch in Batch.objects.filter(pk__in=list(queryset.values_list("pk", flat=True))):
            try:
                batch_cancel_by(batch, actor=str(request.user))
            except InvalidRequest as error:
                self.message_user(request, f"{batch.pk}: {error.message}", messages.WARNING)
            else:
                self.message_user(request, f"{batch.pk} is being cancelled.", messages.SUCCESS)


def _dollars(amount: Decimal | int | None) -> str:
    if amount is None:
        return "$0"
    return f"${usd_text(amount if isinstance(amount, Decimal) else pico_to_usd(amount))}"
