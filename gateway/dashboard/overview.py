"""The first page: which providers work, what is spent, how well requests are answered, and the last of them.

The page is drawn whole; afterwards four parts refresh themselves, each from its own address.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from gateway.dashboard.access import back_office_page, render_page
from gateway.dashboard.attention import attention_context
from gateway.dashboard.charts import spend_chart
from gateway.dashboard.drill_page import banner_context
from gateway.dashboard.links import changelist_url
from gateway.dashboard.provider_cards import provider_cards
from gateway.dashboard.tiles import overview_tiles
from gateway.selectors.completions import completion_list_recent
from gateway.selectors.ledger_spool import ledger_spool_state, ledger_spool_words
from gateway.selectors.spend import spend_timeline
from gateway.selectors.usage import spend_total, usage_summary
from gateway.selectors.windows import window_this_month, window_today

RECENT_COMPLETIONS = 15
CHART_HOURS = 24


@back_office_page
def overview(request: HttpRequest) -> HttpResponse:
    context = {
        **banner_context(request),
        **attention_context(request),
        **_providers_context(request),
        **_figures_context(request),
        **_recent_context(request),
        "zone": timezone.get_current_timezone_name(),
    }
    return render_page(request, "dashboard/overview.html", "Dashboard", context)


@back_office_page
def drills(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboard/partials/drills.html", banner_context(request))


@back_office_page
def providers(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboard/partials/providers.html", _providers_context(request))


@back_office_page
def figures(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboard/partials/figures.html", _figures_context(request))


@back_office_page
def recent(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboard/partials/recent.html", _recent_context(request))


def _providers_context(request: HttpRequest) -> dict[str, Any]:
    return {
        "providers": provider_cards(request),
        "ledger_attention": ledger_spool_words(ledger_spool_state()),
        "providers_url": changelist_url(request, "Provider"),
        "now": timezone.now(),
    }


def _figures_context(request: HttpRequest) -> dict[str, Any]:
    now, zone = timezone.now(), timezone.get_current_timezone()
    today, month = window_today(now=now, zone=zone), window_this_month(now=now, zone=zone)
    timeline = spend_timeline(now=now, hours=CHART_HOURS)
    return {
        "tiles": overview_tiles(
            request,
            today=usage_summary(window=today),
            today_window=today,
            month=spend_total(window=month),
            month_window=month,
        ),
        "chart": spend_chart(timeline),
        "chart_hours": CHART_HOURS,
        "chart_url": changelist_url(request, "Completion", created_at__gte=timeline.window.start),
    }


def _recent_context(request: HttpRequest) -> dict[str, Any]:
    return {
        "completions": completion_list_recent(limit=RECENT_COMPLETIONS),
        "completions_url": changelist_url(request, "Completion"),
        "api_keys_url": changelist_url(request, "ApiKey"),
        "chat_url": request.build_absolute_uri("/v1/chat/completions"),
    }
