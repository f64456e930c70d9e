"""What happened, read-only: the ledger's writer alone changes these rows."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from unfold.admin import ModelAdmin, TabularInline  # type: ignore[import-untyped]

from gateway.models import (
    Attempt,
    BreakerStatus,
    BreakerTransition,
    BudgetWindow,
    ConfigurationChange,
    Conversation,
    Fallback,
    Feedback,
    HealthProbe,
)
from gateway.templatetags.plain_words import duration, percent, short_id, usd, usd_exact

REASON_CHARACTERS = 60  # of a list's column; the whole is in its title


class CheapPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than anybody leafs, so that a table of any size opens at once."""

    MAX_COUNTED = 10_000

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by().values("pk")[: self.MAX_COUNTED].count())


class ReadOnly:
    """Nobody adds, changes or deletes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LedgerAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    paginator = CheapPaginator
    show_full_result_count = False
    list_per_page = 50
    compressed_fields = True
    actions: Any = None


class StoryLinks(LedgerAdmin):
    """Rows that belong to a completion, each with a link to its story."""

    @admin.display(description="request", ordering="completion_id")
    def request_story(self, row: Attempt | Fallback | Feedback) -> SafeString:
        return story_link(str(row.completion_id))


def story_link(request_id: str) -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse("dashboard:completion", args=[request_id]), request_id)


def amount(amount_usd: Decimal) -> SafeString:
    """As people write it; every digit of it where the pointer rests."""
    return format_html('<span title="exactly {}">{}</span>', usd_exact(amount_usd), usd(amount_usd))


class LedgerInline(ReadOnly, TabularInline):  # type: ignore[misc]
    extra = 0
    can_delete = False


@admin.register(Conversation)
class ConversationAdmin(LedgerAdmin):
    list_display = (
        "external_id",
        "team_id",
        "completions",
        "input_tokens",
        "output_tokens",
        "cost",
        "last_seen_at",
    )
    search_fields = ("=external_id",)
    ordering = ("-last_seen_at",)

    @admin.display(description="cost", ordering="cost_usd")
    def cost(self, row: Conversation) -> SafeString:
        return amount(row.cost_usd)


@admin.register(Attempt)
class AttemptAdmin(StoryLinks):
    list_display = ("request_story", "number", "provider", "model", "outcome", "failure", "status", "latency_ms")
    list_filter = ("outcome", "failure")
    search_fields = ("=completion__id",)
    ordering = ("-pk",)


@admin.register(Fallback)
class FallbackAdmin(StoryLinks):
    list_display = ("created_at", "request_story", "steps", "extra_cost", "after", "short_reason")
    search_fields = ("=completion__id",)
    ordering = ("-created_at",)

    @admin.display(description="request", ordering="completion_id")
    def request_story(self, row: Fallback) -> SafeString:  # type: ignore[override]
        request_id = str(row.completion_id)
        address = reverse("dashboard:completion", args=[request_id])
        return format_html('<a href="{}" title="{}">{}</a>', address, request_id, short_id(request_id))

    @admin.display(description="from, to", ordering="from_target")
    def steps(self, row: Fallback) -> SafeString:
        return format_html("{}<br>→ {}", row.from_target, row.to_target)

    @admin.display(description="extra cost", ordering="extra_cost_usd")
    def extra_cost(self, row: Fallback) -> SafeString:
        return amount(row.extra_cost_usd)

    @admin.display(description="after", ordering="after_ms")
    def after(self, row: Fallback) -> str:
        return duration(row.after_ms)

    @admin.display(description="reason", ordering="reason")
    def short_reason(self, row: Fallback) -> SafeString:
        return format_html('<span title="{}">{}</span>', row.reason, Truncator(row.reason).chars(REASON_CHARACTERS))


@admin.register(Feedback)
class FeedbackAdmin(StoryLinks):
    list_display = ("updated_at", "request_story", "score", "note", "api_key_name")
    list_filter = ("score",)
    search_fields = ("=completion__id",)
    ordering = ("-updated_at",)


@admin.register(BreakerStatus)
class BreakerStatusAdmin(LedgerAdmin):
    list_display = ("provider", "state", "since", "consecutive_failures", "failing", "next_probe_at")
    ordering = ("provider",)

    @admin.display(description="failure rate", ordering="failure_rate")
    def failing(self, row: BreakerStatus) -> str:
        return percent(row.failure_rate)


@admin.register(BreakerTransition)
class BreakerTransitionAdmin(LedgerAdmin):
    list_display = ("at", "provider", "from_state", "to_state", "cause", "drill_id")
    list_filter = ("to_state", ("drill_id", admin.EmptyFieldListFilter))
    ordering = ("-pk",)


@admin.register(HealthProbe)
class HealthProbeAdmin(LedgerAdmin):
    list_display = ("at", "provider", "ok", "words", "asked", "actor", "latency_ms")
    list_filter = ("ok", "outcome")
    ordering = ("-pk",)


@admin.register(BudgetWindow)
class BudgetWindowAdmin(LedgerAdmin):
    list_display = ("budget_id", "subject", "since", "spent", "reserved")
    ordering = ("-window_epoch", "-pk")

    @admin.display(description="window since", ordering="window_epoch")
    def since(self, row: BudgetWindow) -> datetime | str:
        return datetime.fromtimestamp(row.window_epoch, UTC) if row.window_epoch else "ever"

    @admin.display(description="spent", ordering="spent_usd")
    def spent(self, row: BudgetWindow) -> SafeString:
        return amount(row.spent_usd)

    @admin.display(description="reserved", ordering="reserved_usd")
    def reserved(self, row: BudgetWindow) -> SafeString:
        return amount(row.reserved_usd)


@admin.register(ConfigurationChange)
class ConfigurationChangeAdmin(LedgerAdmin):
    list_display = ("at", "actor", "action", "section", "name")
    list_filter = ("action", "section")
    search_fields = ("name", "actor")
    ordering = ("-pk",)
