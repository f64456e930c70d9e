"""All breakers at once: how each is, how its day was, and what a person can order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from gateway.dashboard.access import back_office_page, render_page
from gateway.dashboard.links import changelist_url
from gateway.dashboard.provider_cards import ProviderCard, breaker_views, card
from gateway.dashboard.provider_page import (
    REASON_CHARACTERS,
    TIMELINE_HOURS,
    TIMELINE_UNITS,
    DrawnBand,
    drawn,
    may_act,
    provider_act,
    scope_words,
)
from gateway.dashboard.request_query import requests_url
from gateway.selectors.breaker_days import breaker_days
from gateway.selectors.breakers import by_urgency
from gateway.selectors.provider_page import Band
from gateway.services.live import live_state
from gateway.services.permissions import START_DRILLS

BANDS_TOLD = 20


@dataclass(frozen=True, slots=True)
class BreakerRow:
    """`drawn` is the day as bands on a line, `told` its newest bands in words, newest first."""

    card: ProviderCard
    since: datetime | None
    drawn: tuple[DrawnBand, ...]
    told: tuple[Band, ...]
    requests_url: str


@back_office_page
def breakers(request: HttpRequest) -> HttpResponse:
    context = _live_context(request)
    drills = changelist_url(request, "Drill")
    context |= {
        "chosen": request.GET.get("provider", ""),
        "may_act": may_act(request),
        "reason_characters": REASON_CHARACTERS,
        "drill_url": f"{drills}add/" if drills and request.user.has_perm(START_DRILLS) else "",
    }
    return render_page(request, "dashboard/breakers.html", "Breakers", context)


@back_office_page
def breakers_live(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboard/partials/breakers.html", _live_context(request))


def breakers_act(request: HttpRequest) -> HttpResponse:
    """As `provider_act`, which says who may; the provider is a field of the form."""
    return provider_act(request, request.POST.get("provider", ""))


def _live_context(request: HttpRequest) -> dict[str, Any]:
    now, live = timezone.now(), live_state()
    views = by_urgency(breaker_views(live))
    days = breaker_days(providers=(view.provider for view in views), now=now, hours=TIMELINE_HOURS)
    rows = [
        BreakerRow(
            card=card(request, view),
            since=days[view.provider].since,
            drawn=drawn(days[view.provider].bands, now),
            told=days[view.provider].bands[::-1][:BANDS_TOLD],
            requests_url=requests_url(outcome="failed", provider=view.provider),
        )
        for view in views
    ]
    return {
        "rows": rows,
        "scope": scope_words(live),
        "providers_url": changelist_url(request, "Provider"),
        "timeline_hours": TIMELINE_HOURS,
        "timeline_units": TIMELINE_UNITS,
        "hours": [now - timedelta(hours=back) for back in (24, 18, 12, 6, 0)],
        "now": now,
    }
