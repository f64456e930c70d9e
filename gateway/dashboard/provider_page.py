"""One provider: how it is at this moment, how its day was, and what a person can do about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from gateway.dashboard.access import back_office_page, render_page, to_login
from gateway.dashboard.links import changelist_url
from gateway.dashboard.provider_cards import breaker_views, card
from gateway.engine.words import BreakerState
from gateway.models import Provider
from gateway.selectors.model_catalogue import retiring_targets
from gateway.selectors.provider_page import (
    Band,
    breaker_since,
    breaker_timeline,
    health_probes,
    last_failure,
    provider_traffic,
)
from gateway.services.breakers import NotServing, breaker_force_closed, breaker_force_open, breaker_reset
from gateway.services.live import LiveState, live_state
from gateway.services.permissions import ORDER_BREAKERS, missing_words
from gateway.services.provider_health import provider_test

TIMELINE_HOURS = 24
TRAFFIC_HOURS = (1, 24)
REASON_CHARACTERS = 300
# The timeline is drawn on a line this long; a band is never narrower than can be seen.
TIMELINE_UNITS = 1440
MIN_BAND_UNITS = 2
# Told apart by height as well as by colour: top edge and height on a line 40 high.
_HEIGHTS = {
    BreakerState.CLOSED.value: (28, 12),
    BreakerState.HALF_OPEN.value: (14, 26),
    BreakerState.OPEN.value: (0, 40),
}
_ACTS = {
    "force_open": (breaker_force_open, "held open: requests skip it until somebody resets it"),
    "force_closed": (breaker_force_closed, "held closed: requests go to it whatever happens, until somebody resets it"),
    "reset": (breaker_reset, "reset: closed, nothing counted, no order"),
}


@dataclass(frozen=True, slots=True)
class DrawnBand:
    """A band and where it lies on the line."""

    band: Band
    left: int
    width: int
    top: int
    height: int


@back_office_page
def provider(request: HttpRequest, name: str) -> HttpResponse:
    row = _provider(name)
    context = {**_live_context(request, row), "may_act": may_act(request), "reason_characters": REASON_CHARACTERS}
    return render_page(request, "dashboard/provider.html", f"Provider {row.name}", context)


@back_office_page
def provider_live(request: HttpRequest, name: str) -> HttpResponse:
    return render(request, "dashboard/partials/provider.html", _live_context(request, _provider(name)))


@never_cache
@require_POST
def provider_act(request: HttpRequest, name: str) -> HttpResponse:
    """Test now, or an order to the breaker: with a reason and a confirmation, by whoever may change providers."""
    if not admin.site.has_permission(request):
        return to_login(request)
    if not may_act(request):
        raise PermissionDenied(missing_words(ORDER_BREAKERS))
    row, action = _provider(name), request.POST.get("action", "")
    if action == "test":
        _test(request, row)
    else:
        _order(request, row, action)
    if request.POST.get("next") == "breakers":
        return redirect("dashboard:breakers")
    return redirect("dashboard:provider", name=row.name)


def _test(request: HttpRequest, row: Provider) -> None:
    probe = provider_test(provider=row, actor=_actor(request))
    messages.add_message(request, messages.SUCCESS if probe.ok else messages.ERROR, f"{row.name}: {probe.words}")


def _order(request: HttpRequest, row: Provider, action: str) -> None:
    reason = " ".join(request.POST.get("reason", "").split())
    problem = _problem(action, reason, confirmed=request.POST.get("confirmed") == "yes")
    if problem:
        messages.error(request, f"Nothing was changed: {problem}")
        return
    act, done = _ACTS[action]
    try:
        act(provider=row, reason=reason, actor=_actor(request))
    except NotServing as error:
        messages.error(request, f"Nothing was changed: {error}.")
    else:
        messages.success(request, f"The breaker of {row.name} is {done}.")


def _problem(action: str, reason: str, *, confirmed: bool) -> str | None:
    if action not in _ACTS:
        return f"choose one of {', '.join(_ACTS)}."
    if not reason or not reason.isprintable() or len(reason) > REASON_CHARACTERS:
        return f"say why, in one line of at most {REASON_CHARACTERS} characters."
    return None if confirmed else "tick the box that confirms it; an order holds for every process."


def _provider(name: str) -> Provider:
    row: Provider | None = Provider.objects.alive().filter(name=name).first() if name.isprintable() else None
    if row is None:
        raise Http404("There is no such provider in use.")
    return row


def _live_context(request: HttpRequest, row: Provider) -> dict[str, Any]:
    now, live = timezone.now(), live_state()
    view = next(one for one in breaker_views(live) if one.provider == row.name)
    bands = breaker_timeline(provider=row.name, now=now, hours=TIMELINE_HOURS)
    traffic = provider_traffic(provider=row.name, now=now, hours=TRAFFIC_HOURS)
    attempts = {"provider__exact": row.name, "outcome__in": "succeeded,failed", "started_at__lte": now}
    return {
        "provider": row,
        "card": card(request, view),
        "breaker": view,
        "since": breaker_since(provider=row.name, state=view.state),
        "scope": scope_words(live),
        "counts": live.providers.get(row.name) if live else None,
        "traffic": [
            (one, changelist_url(request, "Attempt", **attempts, started_at__gte=one.since)) for one in traffic
        ],
        "failure": last_failure(provider=row.name, now=now),
        "drawn": drawn(bands, now),
        "bands": bands[::-1],
        "timeline_hours": TIMELINE_HOURS,
        "timeline_units": TIMELINE_UNITS,
        "hours": [now - timedelta(hours=back) for back in (24, 18, 12, 6, 0)],
        "probes": health_probes(provider=row.name),
        "probes_url": changelist_url(request, "HealthProbe", provider__exact=row.name),
        "settings_url": _settings_url(request, row),
        "retiring": retiring_targets(now, provider=row.name),
        "now": now,
    }


def scope_words(live: LiveState | None) -> str:
    """Whose numbers these are."""
    if live is None:
        return "as the serving processes last wrote them down"
    return "counted over the whole fleet" if live.shared else "counted by this process alone"


def drawn(bands: tuple[Band, ...], now: datetime) -> tuple[DrawnBand, ...]:
    start = now - timedelta(hours=TIMELINE_HOURS)
    span = timedelta(hours=TIMELINE_HOURS)
    placed = []
    for band in bands:
        left = min(int((band.start - start) / span * TIMELINE_UNITS), TIMELINE_UNITS - MIN_BAND_UNITS)
        width = max(MIN_BAND_UNITS, round((band.end - band.start) / span * TIMELINE_UNITS))
        placed.append(DrawnBand(band, left, min(width, TIMELINE_UNITS - left), *_HEIGHTS[band.state]))
    return tuple(placed)


def _settings_url(request: HttpRequest, row: Provider) -> str:
    address = changelist_url(request, "Provider")
    return f"{address}{row.pk}/change/" if address else ""


def may_act(request: HttpRequest) -> bool:
    return cast("PermissionsMixin", request.user).has_perm(ORDER_BREAKERS)


def _actor(request: HttpRequest) -> str:
    return request.user.get_username()
