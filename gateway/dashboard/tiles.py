"""The figures at the top of the overview: what each shows, and the rows behind it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest
from django.utils import timezone

from gateway.dashboard.links import changelist_url
from gateway.selectors.usage import Spend, UsageSummary
from gateway.selectors.windows import TimeWindow
from gateway.templatetags.plain_words import NOTHING, count, count_short, duration, percent, usd, usd_exact


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure. `exact` is the unrounded value, `href` the rows it was counted from ("" if not for this viewer)."""

    key: str
    title: str
    icon: str
    value: str
    note: str
    href: str
    exact: str = ""
    tone: str = "quiet"


def overview_tiles(
    request: HttpRequest, *, today: UsageSummary, today_window: TimeWindow, month: Spend, month_window: TimeWindow
) -> tuple[Tile, ...]:
    since = today_window.start
    return (*_money_tiles(request, today, since, month, month_window.start), *_service_tiles(request, today, since))


def _money_tiles(
    request: HttpRequest, today: UsageSummary, since: datetime, month: Spend, month_since: datetime
) -> tuple[Tile, ...]:
    first = timezone.localtime(month_since)
    return (
        Tile(
            "spend-today",
            "Spend today",
            "payments",
            usd(today.cost_usd),
            _spend_note(today),
            changelist_url(request, "Completion", created_at__gte=since),
            usd_exact(today.cost_usd),
        ),
        Tile(
            "spend-month",
            "Spend this month",
            "calendar_month",
            usd(month.cost_usd),
            f"{_many(month.completions, 'request')} since {first.day} {first:%B}",
            changelist_url(request, "Completion", created_at__gte=month_since),
            usd_exact(month.cost_usd),
        ),
        Tile(
            "tokens",
            "Tokens today",
            "data_object",
            count_short(today.input_tokens + today.output_tokens),
            f"{count_short(today.input_tokens)} in, {count_short(today.output_tokens)} out",
            changelist_url(request, "Completion", created_at__gte=since),
            count(today.input_tokens + today.output_tokens),
        ),
    )


def _service_tiles(request: HttpRequest, today: UsageSummary, since: datetime) -> tuple[Tile, ...]:
    return (
        Tile(
            "requests",
            "Requests today",
            "receipt_long",
            count_short(today.completions),
            _requests_note(today),
            changelist_url(request, "Completion", created_at__gte=since),
            count(today.completions),
        ),
        Tile(
            "errors",
            "Failed today",
            "error",
            percent(today.error_share),
            _errors_note(today),
            changelist_url(request, "Completion", created_at__gte=since, against="us"),
            tone="bad" if today.failed else "quiet",
        ),
        Tile(
            "fallbacks",
            "Fallbacks today",
            "alt_route",
            count_short(today.fell_back),
            _fallbacks_note(today),
            changelist_url(request, "Completion", created_at__gte=since, fell_back__exact=1),
            count(today.fell_back),
            tone="warn" if today.fell_back else "quiet",
        ),
        Tile(
            "response",
            "Mean response time",
            "timer",
            duration(today.mean_response_ms),
            "whole plain answers, first words of streams",
            changelist_url(request, "Completion", created_at__gte=since, status__exact="answered"),
        ),
        Tile(
            "first-content",
            "Mean time to first words",
            "bolt",
            duration(today.mean_first_content_ms),
            "streams only",
            changelist_url(request, "Completion", created_at__gte=since, status__exact="answered", stream__exact=1),
        ),
    )


def _spend_note(today: UsageSummary) -> str:
    if today.uncertain_usd:
        return f"{usd(today.uncertain_usd)} of it estimated or unknown"
    return "as providers reported" if today.cost_usd else "nothing spent yet"


def _requests_note(today: UsageSummary) -> str:
    others = ((today.pending, "under way"), (today.cancelled, "left by the client"))
    parts = [f"{count_short(today.answered)} answered", *(f"{count(n)} {words}" for n, words in others if n)]
    return ", ".join(parts)


def _errors_note(today: UsageSummary) -> str:
    judged = today.answered + today.failed
    note = f"{count(today.failed)} of {count(judged)}" if judged else "nothing to judge yet"
    return f"{note}; {count(today.refused)} refused, not counted" if today.refused else note


def _fallbacks_note(today: UsageSummary) -> str:
    success = percent(today.fallback_success)
    return "none needed" if success == NOTHING else f"{success} ended in an answer"


def _many(number: int, thing: str) -> str:
    return f"{count(number)} {thing}" if number == 1 else f"{count(number)} {thing}s"
