"""The figures at the top of the overview: what each shows, and the rows behind it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from gateway.dashboard.row_links import paid_rows_url, rows_url
from gateway.dashboard.scope import Scope
from gateway.selectors.budget_use import BudgetUse
from gateway.selectors.latency import Latencies, latencies_with_streams
from gateway.selectors.request_filter import Outcome
from gateway.selectors.usage_cells import Usage, share
from gateway.selectors.usage_read import usage_over_each
from gateway.selectors.usage_rows import pending_within
from gateway.selectors.windows import TimeWindow, window_this_month, window_today
from gateway.templatetags.plain_words import (
    NOTHING,
    count,
    count_short,
    duration,
    percent,
    usd,
    usd_exact,
    used_percent,
)


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


@dataclass(frozen=True, slots=True)
class Figures:
    """What the tiles tell: `usage`, `pending` and the times are those of the scope, today and month have their own."""

    usage: Usage
    pending: int
    responses: Latencies
    first_contents: Latencies
    today: Usage
    today_window: TimeWindow
    month: Usage
    month_window: TimeWindow


def figures_of(scope: Scope, *, now: datetime, zone: tzinfo) -> Figures:
    """At most twelve queries."""
    today, month = window_today(now=now, zone=zone), window_this_month(now=now, zone=zone)
    of_scope, of_today, of_month = usage_over_each([scope.window, today, month], where=scope.where)
    responses, first_contents = latencies_with_streams(scope.window, where=scope.where)
    return Figures(
        usage=of_scope,
        pending=pending_within(scope.window, where=scope.where),
        responses=responses,
        first_contents=first_contents,
        today=of_today,
        today_window=today,
        month=of_month,
        month_window=month,
    )


def overview_tiles(scope: Scope, figures: Figures, budgets: tuple[BudgetUse, ...]) -> tuple[Tile, ...]:
    return (
        *_request_tiles(scope, figures),
        *_time_tiles(scope, figures),
        *_money_tiles(scope, figures, budgets),
    )


def _request_tiles(scope: Scope, figures: Figures) -> tuple[Tile, ...]:
    usage, judged = figures.usage, figures.usage.without_drills()
    total = usage.completions + figures.pending
    return (
        Tile(
            "requests",
            "Requests",
            "receipt_long",
            count_short(total),
            _requests_note(usage, figures.pending),
            rows_url(scope),
            count(total),
        ),
        Tile(
            "errors",
            "Failed",
            "error",
            percent(usage.error_share),
            _errors_note(usage),
            rows_url(scope, outcome=Outcome.FAILED),
            tone="bad" if usage.failed else "quiet",
        ),
        Tile(
            "availability",
            "Availability",
            "verified",
            percent(share(judged.answered, judged.answered + judged.failed)),
            "answered, of those that we or providers had to answer; no fire drills",
            rows_url(scope, outcome=Outcome.ANSWERED, drill=False),
        ),
        Tile(
            "fallbacks",
            "Rescued by fallback",
            "alt_route",
            count_short(usage.fell_back_answered),
            _fallbacks_note(usage),
            rows_url(scope, outcome=Outcome.ANSWERED, fallback=True),
            count(usage.fell_back_answered),
            tone="warn" if usage.fell_back > usage.fell_back_answered else "quiet",
        ),
    )


def _time_tiles(scope: Scope, figures: Figures) -> tuple[Tile, ...]:
    usage = figures.usage
    return (
        Tile(
            "response",
            "Mean response time",
            "timer",
            duration(usage.mean_response_ms),
            _spread(figures.responses, "whole answers, first words of streams"),
            rows_url(scope, outcome=Outcome.ANSWERED),
        ),
        Tile(
            "first-content",
            "Mean time to first words",
            "bolt",
            duration(usage.mean_first_content_ms),
            _spread(figures.first_contents, "streams only"),
            rows_url(scope, outcome=Outcome.ANSWERED, stream=True),
        ),
        Tile(
            "tokens",
            "Tokens",
            "data_object",
            count_short(usage.input_tokens + usage.output_tokens),
            _tokens_note(usage),
            paid_rows_url(scope),
            count(usage.input_tokens + usage.output_tokens),
        ),
        Tile(
            "cache",
            "Answered from the cache",
            "cached",
            percent(share(usage.cache_hits, usage.answered)),
            _cache_note(usage),
            rows_url(scope, cache="hit"),
            count(usage.cache_hits),
        ),
    )


def _money_tiles(scope: Scope, figures: Figures, budgets: tuple[BudgetUse, ...]) -> tuple[Tile, ...]:
    usage, today, month = figures.usage, figures.today, figures.month
    return (
        Tile(
            "spend",
            "Spend",
            "payments",
            usd(usage.cost_usd),
            _spend_note(usage),
            paid_rows_url(scope),
            usd_exact(usage.cost_usd),
        ),
        Tile(
            "spend-today",
            "Spend today",
            "today",
            usd(today.cost_usd),
            _budget_note(budgets, scope, "day") or _since_note(today, "midnight"),
            paid_rows_url(scope, figures.today_window),
            usd_exact(today.cost_usd),
        ),
        Tile(
            "spend-month",
            "Spend this month",
            "calendar_month",
            usd(month.cost_usd),
            _budget_note(budgets, scope, "month") or _since_note(month, "the first"),
            paid_rows_url(scope, figures.month_window),
            usd_exact(month.cost_usd),
        ),
    )


def _spend_note(usage: Usage) -> str:
    if usage.uncertain_usd:
        return f"{usd(usage.uncertain_usd)} of it estimated or unknown"
    return "as providers reported" if usage.cost_usd else "nothing spent yet"


def _since_note(usage: Usage, beginning: str) -> str:
    return f"{_many(usage.completions, 'request')} since {beginning}"


def _budget_note(budgets: tuple[BudgetUse, ...], scope: Scope, unit: str) -> str:
    """The fullest budget of this window that counts what the page shows: everybody's, or the chosen team's, key's, …"""
    chosen = scope.filters
    if len(chosen) > 1:
        return ""
    kind, name = next(iter(chosen.items()), ("global", None))
    for use in budgets:
        one = use.standing
        if (one.window, one.scope, one.subject) == (unit, kind, name):
            return f"{used_percent(float(use.used_share))} of {usd(one.limit_usd)} used ({one.name})"
    return ""


def _requests_note(usage: Usage, pending: int) -> str:
    others = ((pending, "under way"), (usage.cancelled, "left by the client"))
    parts = [f"{count_short(usage.answered)} answered", *(f"{count(n)} {words}" for n, words in others if n)]
    return ", ".join(parts)


def _errors_note(usage: Usage) -> str:
    judged = usage.answered + usage.failed
    note = f"{count(usage.failed)} of {count(judged)}" if judged else "nothing to judge yet"
    return f"{note}; {count(usage.refused)} refused, not counted" if usage.refused else note


def _fallbacks_note(usage: Usage) -> str:
    success = percent(usage.fallback_success)
    return "no fallback was needed" if success == NOTHING else f"{success} of {_many(usage.fell_back, 'fallback')}"


def _spread(times: Latencies, what: str) -> str:
    if not times.answers:
        return what
    return f"half within {duration(times.p50_ms)}, 95 % within {duration(times.p95_ms)}; {what}"


def _tokens_note(usage: Usage) -> str:
    note = f"{count_short(usage.input_tokens)} in, {count_short(usage.output_tokens)} out"
    if not usage.cached_input_tokens:
        return note
    return f"{note}; {percent(usage.cached_input_tokens / usage.input_tokens)} of input from providers' caches"


def _cache_note(usage: Usage) -> str:
    if not usage.cache_hits:
        return "no answer came from the cache"
    return f"{count(usage.cache_hits)} of {_many(usage.answered, 'answer')}, {usd(usage.saved_usd)} saved"


def _many(number: int, thing: str) -> str:
    return f"{count(number)} {thing}" if number == 1 else f"{count(number)} {thing}s"
