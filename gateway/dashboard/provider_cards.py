"""The provider strip: each provider's breaker in words."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse

from gateway.dashboard.links import changelist_url
from gateway.engine.words import BreakerState
from gateway.selectors.breaker_status import breaker_states
from gateway.selectors.breakers import BreakerView, by_urgency
from gateway.services.live import LiveState, live_state

# State: heading, symbol, what it means for requests.
_WORDS = {
    BreakerState.CLOSED: ("Working", "check_circle", "Breaker closed: requests go through."),
    BreakerState.OPEN: ("Paused", "block", "Breaker open: requests skip this provider."),
    BreakerState.HALF_OPEN: ("Being tested", "hourglass_top", "Breaker half-open: one request tests this provider."),
}
_FAILING = ("Failing", "error", "Requests go through although they fail: only the order keeps the breaker closed.")
_DISABLED = ("Switched off", "power_settings_new", "Disabled in the configuration: requests skip this provider.")


@dataclass(frozen=True, slots=True)
class ProviderCard:
    """`history_url` lists this breaker's changes, `attempts_url` its failed attempts; "" if not for this viewer."""

    breaker: BreakerView
    tone_word: str
    heading: str
    icon: str
    meaning: str
    page_url: str
    history_url: str
    attempts_url: str


def provider_cards(request: HttpRequest) -> tuple[ProviderCard, ...]:
    """One card per provider, trouble first. Two queries."""
    return tuple(card(request, view) for view in by_urgency(breaker_views(live_state())))


def breaker_views(live: LiveState | None) -> tuple[BreakerView, ...]:
    """Every provider's breaker as the operators' API tells it: from this process if it serves, else from the rows."""
    return breaker_states(readings={name: one.reading for name, one in live.providers.items()} if live else {})


def card(request: HttpRequest, view: BreakerView) -> ProviderCard:
    tone_word, (heading, icon, meaning) = _words(view)
    return ProviderCard(
        breaker=view,
        tone_word=tone_word,
        heading=heading,
        icon=icon,
        meaning=meaning,
        page_url=reverse("dashboard:provider", args=[view.provider]),
        history_url=changelist_url(request, "BreakerTransition", provider__exact=view.provider, drill_id__isempty=1),
        attempts_url=changelist_url(request, "Attempt", provider__exact=view.provider, outcome__exact="failed"),
    )


def _words(view: BreakerView) -> tuple[str, tuple[str, str, str]]:
    """The word that gives the card its colour; heading, symbol and meaning."""
    if not view.enabled:
        return "disabled", _DISABLED
    if view.fails_though_held_closed:
        return BreakerState.OPEN.value, _FAILING
    return view.state, _WORDS[BreakerState(view.state)]
