"""One completion explained: what was decided, what was tried, what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from gateway.admin.ledger import LedgerAdmin, LedgerInline
from gateway.engine.words import Billing, CompletionStatus
from gateway.ledger.money import usd_signed, usd_text
from gateway.models import Attempt, Completion, Fallback
from gateway.selectors.outcomes import FAILED
from gateway.templatetags.plain_words import duration

_BILLING = {
    Billing.NONE.value: "the provider bills nothing",
    Billing.REPORTED.value: "from the usage the provider reported",
    Billing.ESTIMATED.value: "an upper bound: the provider did not report the usage",
    Billing.UNKNOWN.value: "the reservation: the process ended before the outcome was known",
}


class AgainstFilter(admin.SimpleListFilter):
    """What the error rate and the availability count, for the dashboard's links."""

    title = "counts against"
    parameter_name = "against"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("us", "availability: failures of ours and of providers")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Completion]) -> QuerySet[Completion]:
        return queryset.filter(FAILED) if self.value() == "us" else queryset


class AttemptInline(LedgerInline):
    model = Attempt
    fields = ("number", "target", "outcome", "why", "what_happened", "latency_ms", "tokens", "cost")
    readonly_fields = fields
    ordering = ("number",)

    @admin.display(description="target")
    def target(self, row: Attempt) -> str:
        return f"{row.provider}/{row.model}"

    @admin.display(description="why")
    def why(self, row: Attempt) -> str:
        return f"probe: {row.reason}" if row.probe else row.reason

    @admin.display(description="what happened")
    def what_happened(self, row: Attempt) -> str:
        drill = f"injected by fire drill {row.drill_id}" if row.fault else ""
        status = f"status {row.status}" if row.status else ""
        return ", ".join(filter(None, (row.get_failure_display(), status, drill, row.message)))

    @admin.display(description="tokens in / out")
    def tokens(self, row: Attempt) -> str:
        return f"{row.input_tokens:,} / {row.output_tokens:,}"

    @admin.display(description="cost")
    def cost(self, row: Attempt) -> str:
        return f"${usd_text(row.cost_usd)}"


class FallbackInline(LedgerInline):
    model = Fallback
    fields = ("number", "from_target", "to_target", "reason", "after_ms", "extra_cost")
    readonly_fields = fields
    ordering = ("number",)

    @admin.display(description="extra cost")
    def extra_cost(self, row: Fallback) -> str:
        return usd_signed(row.extra_cost_usd)


@admin.register(Completion)
class CompletionAdmin(LedgerAdmin):
    inlines = (AttemptInline, FallbackInline)
    list_display = (
        "id",
        "created_at",
        "status",
        "route_name",
        "answered_by",
        "attempt_count",
        "fallback",
        "took",
        "cost",
        "api_key_name",
        "explained",
    )
    list_filter = ("status", AgainstFilter, "fell_back", "stream", "surface", "billing", "created_at")
    search_fields = ("=id", "=conversation")
    search_help_text = "A request id or a conversation, in full."
    ordering = ("-created_at",)
    fieldsets = (
        ("In short", {"fields": ("story", "cost_story", "decision_story")}),
        ("Asked", {"fields": ("id", "created_at", "surface", "operation", "stream", "requested_model", "route_name")}),
        ("By", {"fields": ("api_key_name", "team_name", "conversation")}),
        (
            "Answered",
            {
                "fields": (
                    "status",
                    "http_status",
                    "error_code",
                    "error_message",
                    "finish_reason",
                    "finished_at",
                    "latency_ms",
                    "first_content_ms",
                    "dropped_params",
                )
            },
        ),
        (
            "Tokens",
            {
                "fields": (
                    "input_tokens",
                    "cached_input_tokens",
                    "cache_write_tokens",
                    "output_tokens",
                    "reasoning_tokens",
                )
            },
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("story", "cost_story", "decision_story")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        page = request.resolver_match.url_name if request.resolver_match else None
        listed = page is not None and page.endswith("_changelist")
        return rows.defer("decision", "dropped_params", "error_message") if listed else rows

    @admin.display(description="explained")
    def explained(self, row: Completion) -> SafeString:
        return format_html('<a href="{}">its story</a>', reverse("dashboard:completion", args=[row.pk]))

    @admin.display(description="answered by")
    def answered_by(self, row: Completion) -> str:
        return f"{row.provider}/{row.model}" if row.provider else "nobody"

    @admin.display(description="fallback", ordering="fell_back")
    def fallback(self, row: Completion) -> str:
        """A word: a red cross, as lists show what is not so, would say that something went wrong."""
        return "yes" if row.fell_back else ""

    @admin.display(description="took", ordering="latency_ms")
    def took(self, row: Completion) -> str:
        return "" if row.latency_ms is None else duration(row.latency_ms)

    @admin.display(description="cost", ordering="cost_usd")
    def cost(self, row: Completion) -> str:
        return f"${usd_text(row.cost_usd)}"

    @admin.display(description="what happened")
    def story(self, row: Completion) -> SafeString:
        return format_html_join(" ", "{}", ((sentence,) for sentence in completion_story(row)))

    @admin.display(description="cost")
    def cost_story(self, row: Completion) -> str:
        if row.status == CompletionStatus.PENDING:
            return f"not known yet; ${usd_text(row.reserved_usd)} are reserved"
        return f"${usd_text(row.cost_usd)} ({_BILLING.get(row.billing, row.billing)})"

    @admin.display(description="decision")
    def decision_story(self, row: Completion) -> SafeString:
        if not row.decision:
            return format_html("{}", "nothing was recorded")
        return format_html_join("", "<div>{}: {}</div>", _facts(row.decision))


def completion_story(row: Completion) -> Iterator[str]:
    """The completion in sentences, for people who don't read columns."""
    yield f"{row.api_key_name or 'Somebody'} asked for {row.requested_model} (route {row.route_name})."
    if row.cache == "hit":
        yield "The answer came from the cache."
    elif row.attempt_count:
        yield f"{_count(row.attempt_count, 'attempt')} {'was' if row.attempt_count == 1 else 'were'} made."
    if row.drill_id is not None:
        yield f"Fire drill {row.drill_id} played a provider's part in it, so it counts in no objective."
    if row.fell_back:
        yield "The first target could not answer, so a later one was asked."
    yield _outcome(row)


def _outcome(row: Completion) -> str:
    seconds = f" after {row.latency_ms / 1000:.2f} s" if row.latency_ms is not None else ""
    sentences = {
        CompletionStatus.PENDING.value: "It is still under way.",
        CompletionStatus.ANSWERED.value: f"{row.provider}/{row.model} answered{seconds}.",
        CompletionStatus.FAILED.value: f"It failed{seconds}: {row.error_message or row.error_code}.",
        CompletionStatus.CANCELLED.value: f"The client left{seconds}.",
        CompletionStatus.REFUSED.value: f"It was refused before it began: {row.error_message or row.error_code}",
        CompletionStatus.UNKNOWN.value: "The process that served it ended; how it ended is unknown.",
    }
    return sentences.get(row.status, row.status)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _facts(decision: Any) -> Iterable[tuple[str, str]]:
    if not isinstance(decision, dict):
        return [("decision", str(decision))]
    return [(str(name).replace("_", " "), _plain(value)) for name, value in decision.items()]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_plain(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(_plain(each) for each in value)
    return "none" if value is None else str(value)
