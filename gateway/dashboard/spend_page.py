"""Spend: over time and by whom, what is left of budgets, what conversations cost; and the table as a file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from gateway.dashboard.access import back_office_page, render_page
from gateway.dashboard.charts import spend_chart, spend_title
from gateway.dashboard.conversation_links import conversation_url
from gateway.dashboard.links import changelist_url
from gateway.dashboard.row_links import named_rows_url, rows_url
from gateway.dashboard.scope import NO_TEAM, Scope, scope_of
from gateway.dashboard.scope_bar import Choice, bar_context
from gateway.dashboard.spend_csv import spend_csv
from gateway.models.organisation import organisation_current
from gateway.selectors.budget_use import BudgetUse, budget_uses
from gateway.selectors.conversation_costs import CostClass, conversations_dearest, cost_distribution
from gateway.selectors.request_filter import Outcome
from gateway.selectors.spend_over_time import SPEND_DIMENSIONS, SpendName, SpendTops, spend_over_time, spend_tops
from gateway.templatetags.plain_words import usd_limit

BY_WORDS = {"provider": "Provider", "model": "Model", "route": "Route", "team": "Team", "api_key": "API key"}
DEFAULT_BY = "provider"
SUBJECTS_PER_BUDGET = 5
TOP_CONVERSATIONS = 8
CSV_NAMES = 500  # columns of the file; more names become one
BAR_UNITS = 1000  # bars are drawn on a line this long
_TOPS = {"team": "Teams", "api_key": "API keys", "model": "Models", "route": "Routes"}


@dataclass(frozen=True, slots=True)
class TopRow:
    """`href` narrows the page to this name, `rows_url` leads to its requests; both are "" for the others together."""

    title: str
    spend: SpendName
    href: str
    rows_url: str
    bar: int
    share: float


@dataclass(frozen=True, slots=True)
class BudgetBar:
    """`spent` and `reserved` lie on a line of `BAR_UNITS`, one after the other."""

    use: BudgetUse
    spent: int
    reserved: int
    tone: str
    used: float
    href: str


@dataclass(frozen=True, slots=True)
class ClassBar:
    words: str
    cost_class: CostClass
    bar: int
    over: bool


@back_office_page
def spend(request: HttpRequest) -> HttpResponse:
    now, zone = timezone.now(), timezone.get_current_timezone()
    scope, by = scope_of(request, now=now, zone=zone), _by(request)
    over_time = spend_over_time(scope.window, by=by, zone=zone, where=scope.where)
    tops = spend_tops(scope.window, where=scope.where)
    context = {
        **bar_context(scope, page="spend"),
        "by": by,
        "by_words": BY_WORDS[by],
        "bys": [Choice(words, f"?{scope.query}&by={name}", name == by) for name, words in BY_WORDS.items()],
        "chart": spend_chart(over_time, by=by, href=partial(named_rows_url, scope, by)),
        "whole": tops.whole,
        "reported_usd": tops.whole.cost_usd - tops.whole.uncertain_usd,
        "tops": [(title, top_rows(tops, name, scope, by)) for name, title in _TOPS.items()],
        "rows_url": rows_url(scope, outcome=Outcome.SETTLED),
        "hits_url": rows_url(scope, cache="hit"),
        "table_csv_url": f"{reverse('dashboard:spend-csv')}?{scope.query}&by={by}",
        "completions_csv_url": _completions_csv_url(scope) if changelist_url(request, "Completion") else "",
        "budgets": _budget_bars(request, budget_uses(now=now, subjects_per_budget=SUBJECTS_PER_BUDGET)),
        "zone": timezone.get_current_timezone_name(),
        **_conversation_context(scope),
    }
    return render_page(request, "dashboard/spend.html", "Spend", context)


@back_office_page
def spend_table(request: HttpRequest) -> HttpResponse:
    """The page's table as CSV: every name, not only the dearest, and exact amounts."""
    zone = timezone.get_current_timezone()
    scope, by = scope_of(request, now=timezone.now(), zone=zone), _by(request)
    over_time = spend_over_time(scope.window, by=by, zone=zone, where=scope.where, top=CSV_NAMES)
    response = HttpResponse(spend_csv(over_time, by=by), content_type="text/csv; charset=utf-8")
    first, last = timezone.localtime(scope.window.start), timezone.localtime(scope.window.end)
    response["Content-Disposition"] = f'attachment; filename="spend-by-{by}-{first:%Y%m%d}-{last:%Y%m%d}.csv"'
    return response


def top_rows(tops: SpendTops, name: str, scope: Scope, by: str) -> tuple[TopRow, ...]:
    rows, total = tops.by[name], tops.whole.cost_usd
    dearest = max((row.total_usd for row in rows), default=total)
    return tuple(
        TopRow(
            title=spend_title(row, name),
            spend=row,
            href=_narrowed(row, name, scope, by),
            rows_url="" if row.others else named_rows_url(scope, name, row.name),
            bar=int(row.total_usd * BAR_UNITS / dearest),
            share=float(row.total_usd / total) if total else 0.0,
        )
        for row in rows
    )


def _narrowed(row: SpendName, name: str, scope: Scope, by: str) -> str:
    if row.others or not (row.name or name == "team"):
        return ""
    return f"?{scope.query_with(**{name: row.name or NO_TEAM})}&by={by}"


def _conversation_context(scope: Scope) -> dict[str, Any]:
    team = scope.where.team
    limit_usd = organisation_current().conversation_cost_usd
    spread = cost_distribution(window=scope.window, team=team, limit_usd=limit_usd)
    most = max((one.conversations for one in spread.classes), default=0) or 1
    dearest = conversations_dearest(window=scope.window, team=team, limit=TOP_CONVERSATIONS)
    return {
        "spread": spread,
        "class_bars": [
            ClassBar(class_words(one), one, one.conversations * BAR_UNITS // most, one.above_usd >= limit_usd)
            for one in spread.classes
        ],
        "conversations": [(one, conversation_url(one.id, one.team_id)) for one in dearest],
        "conversations_unfiltered": bool(scope.filters.keys() - {"team"}),
    }


def class_words(one: CostClass) -> str:
    if one.up_to_usd is None:
        return f"more than {usd_limit(one.above_usd)}"
    if one.above_usd == 0:
        return f"up to {usd_limit(one.up_to_usd)}"
    return f"{usd_limit(one.above_usd)} to {usd_limit(one.up_to_usd)}"


def _budget_bars(request: HttpRequest, uses: tuple[BudgetUse, ...]) -> list[BudgetBar]:
    address = changelist_url(request, "Budget")
    bars = []
    for use in uses:
        spent = min(BAR_UNITS, int(use.spent_share * BAR_UNITS))
        reserved = min(BAR_UNITS, int(use.used_share * BAR_UNITS)) - spent
        tone = "bad" if use.used_share >= 1 else "warn" if use.near_its_end else "good"
        href = f"{address}{use.id}/change/" if address else ""
        bars.append(BudgetBar(use, spent, reserved, tone, float(use.used_share), href))
    return bars


def _completions_csv_url(scope: Scope) -> str:
    window = scope.window
    names = {key: getattr(scope.where, key) for key in scope.filters}
    moments = {"from": window.start, "to": window.end}
    texts = {key: moment.isoformat().replace("+00:00", "Z") for key, moment in moments.items()}
    return f"/api/completions.csv?{urlencode({**texts, **names})}"


def _by(request: HttpRequest) -> str:
    asked = request.GET.get("by", "")
    return asked if asked in SPEND_DIMENSIONS else DEFAULT_BY
