"""The first page: what needs attention, the service levels, which providers work, what is asked and spent.

The page is drawn whole; afterwards its parts refresh themselves, each from its own address, which carries the page's
period and filters.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from gateway.dashboard.access import back_office_page, render_page
from gateway.dashboard.attention import attention_items
from gateway.dashboard.charts import spend_chart
from gateway.dashboard.drill_page import banner_context
from gateway.dashboard.links import changelist_url
from gateway.dashboard.objective_cards import objective_cards
from gateway.dashboard.provider_cards import provider_cards
from gateway.dashboard.row_links import named_rows_url
from gateway.dashboard.scope import Scope, scope_of
from gateway.dashboard.scope_bar import bar_context
from gateway.dashboard.tiles import figures_of, overview_tiles
from gateway.selectors.budget_use import budget_uses
from gateway.selectors.completions import completion_list_recent
from gateway.selectors.ledger_spool import ledger_spool_state, ledger_spool_words
from gateway.selectors.objectives import service_levels
from gateway.selectors.spend_over_time import spend_over_time

RECENT_COMPLETIONS = 15
SUBJECTS_PER_BUDGET = 3
CHART_BY = "provider"


@back_office_page
def overview(request: HttpRequest) -> HttpResponse:
    scope = _scope(request)
    context = {
        **bar_context(scope, page="overview"),
        **banner_context(request),
        **_service_context(request),
        **_providers_context(request),
        **_figures_context(request, scope),
        **_recent_context(request),
        "zone": timezone.get_current_timezone_name(),
    }
    return render_page(request, "dashboard/overview.html", "Overview", context)


@back_office_page
def drills(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboard/partials/drills.html", banner_context(request))


@back_office_page
def providers(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboard/partials/providers.html", _providers_context(request))


@back_office_page
def service(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboard/partials/service.html", _service_context(request))


@back_office_page
def figures(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboard/partials/figures.html", _figures_context(request, _scope(request)))


@back_office_page
def recent(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboard/partials/recent.html", _recent_context(request))


def _scope(request: HttpRequest) -> Scope:
    return scope_of(request, now=timezone.now(), zone=timezone.get_current_timezone())


def _providers_context(request: HttpRequest) -> dict[str, Any]:
    return {
        "providers": provider_cards(request),
        "ledger_attention": ledger_spool_words(ledger_spool_state()),
        "providers_url": changelist_url(request, "Provider"),
        "now": timezone.now(),
    }


def _service_context(request: HttpRequest) -> dict[str, Any]:
    now = timezone.now()
    cards = objective_cards(service_levels(now=now))
    found = attention_items(
        request,
        now=now,
        providers=provider_cards(request),
        budgets=budget_uses(now=now, subjects_per_budget=SUBJECTS_PER_BUDGET),
        objectives=cards,
    )
    return {"attention": found, "objectives": cards, "objectives_url": changelist_url(request, "Organisation")}


def _figures_context(request: HttpRequest, scope: Scope) -> dict[str, Any]:
    now, zone = timezone.now(), timezone.get_current_timezone()
    budgets = budget_uses(now=now, subjects_per_budget=SUBJECTS_PER_BUDGET)
    spend = spend_over_time(scope.window, by=CHART_BY, zone=zone, where=scope.where)
    return {
        "scope": scope,
        "tiles": overview_tiles(scope, figures_of(scope, now=now, zone=zone), budgets),
        "chart": spend_chart(spend, by=CHART_BY, href=partial(named_rows_url, scope, CHART_BY)),
    }


def _recent_context(request: HttpRequest) -> dict[str, Any]:
    return {
        "completions": completion_list_recent(limit=RECENT_COMPLETIONS),
        "api_keys_url": changelist_url(request, "ApiKey"),
        "chat_url": request.build_absolute_uri("/v1/chat/completions"),
    }
