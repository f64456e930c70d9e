"""The provider strip: each provider's breaker in words."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest

from gateway.dashboard.links import changelist_url
from gateway.engine.words import BreakerState
from gateway.selectors.breakers import BreakerView, breaker_list

# State: heading, symbol, what it means for requests.
_WORDS = {
    BreakerState.CLOSED: ("Working", "check_circle", "Breaker closed: requests go through."),
    BreakerState.OPEN: ("Paused", "block", "Breaker open: requests skip this provider."),
    BreakerState.HALF_OPEN: ("Being tested", "hourglass_top", "Breaker half-open: one request tests this provider."),
}
_DISABLED = ("Switched off", "power_settings_new", "Disabled in the configuration: requests skip this provider.")


@dataclass(frozen=True, slots=True)
class ProviderCard:
    """`history_url` lists this breaker's changes, `attempts_url` its failed attempts; "" if not for this viewer."""

    breaker: BreakerView
    tone_word: str
    heading: str
    icon: str
    meaning: str
    history_url: str
    attempts_url: str


def provider_cards(request: HttpRequest) -> tuple[ProviderCard, ...]:
    """One card per provider, trouble first. Two queries."""
    return tuple(_card(request, view) for view in breaker_list())


def _card(request: HttpRequest, view: BreakerView) -> ProviderCard:
    heading, icon, meaning = _WORDS[BreakerState(view.state)] if view.enabled else _DISABLED
    return ProviderCard(
        breaker=view,
        tone_word=view.state if view.enabled else "disabled",
        heading=heading,
        icon=icon,
        meaning=meaning,
        history_url=changelist_url(request, "BreakerTransition", provider__exact=view.provider, drill_id__isempty=1),
        attempts_url=changelist_url(request, "Attempt", provider__exact=view.provider, outcome__exact="failed"),
    )
