"""What needs a person now: each a sentence, the worst first, with a link to where it can be mended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest
from django.urls import reverse

from gateway.dashboard.links import changelist_url
from gateway.dashboard.objective_cards import ObjectiveCard, missed_words
from gateway.dashboard.provider_cards import ProviderCard
from gateway.engine.words import BreakerState
from gateway.selectors.alert_troubles import alerts_open, alerts_undelivered
from gateway.selectors.budget_use import BudgetUse
from gateway.selectors.drills import drills_running
from gateway.selectors.ledger_spool import ledger_spool_state, ledger_spool_words
from gateway.selectors.model_catalogue import RetiringTarget, retiring_targets
from gateway.selectors.prices import unpriced_models
from gateway.services.permissions import SEE_PRICES
from gateway.templatetags.plain_words import clock, fault_words, usd, used_percent

_ORDER = ("bad", "warn", "info")
_ICONS = {"bad": "error", "warn": "warning", "info": "info"}


@dataclass(frozen=True, slots=True)
class Attention:
    """`key` stays the same while the matter does; `href` is "" where this viewer may not go there."""

    key: str
    tone: str
    sentence: str
    href: str
    link: str

    @property
    def icon(self) -> str:
        return _ICONS[self.tone]


def attention_items(
    request: HttpRequest,
    *,
    now: datetime,
    providers: Sequence[ProviderCard],
    budgets: Sequence[BudgetUse],
    objectives: Sequence[ObjectiveCard],
) -> tuple[Attention, ...]:
    """Beside what is given: five queries."""
    found = [
        *_spool(),
        *_breakers(providers),
        *_budgets(request, budgets),
        *_objectives(objectives),
        *_alerts(request, now),
        *_models(request, now),
        *_drills(now),
    ]
    return tuple(sorted(found, key=lambda item: _ORDER.index(item.tone)))


def _spool() -> Iterator[Attention]:
    words = ledger_spool_words(ledger_spool_state())
    if words:
        yield Attention("spool", "bad", words, reverse("dashboard:overview") + "#providers-title", "Providers")


def _breakers(cards: Iterable[ProviderCard]) -> Iterator[Attention]:
    for card in cards:
        view = card.breaker
        if not view.enabled:
            continue
        if view.forced:
            why = f": {view.forced_reason}" if view.forced_reason else ""
            tone = "bad" if view.forced == BreakerState.OPEN or view.fails_though_held_closed else "warn"
            words = f"The breaker of {view.provider} is held {view.forced} by hand{why}."
            yield Attention(f"forced-{view.provider}", tone, words, card.page_url, f"Look at {view.provider}")
        elif view.state != BreakerState.CLOSED:
            since = f" since {clock(view.since)}" if view.since else ""
            state = "is being tested" if view.state == BreakerState.HALF_OPEN else "gets no requests"
            words = f"{view.provider} {state}{since}: its breaker opened after {view.consecutive_failures} failures."
            tone = "warn" if view.state == BreakerState.HALF_OPEN else "bad"
            yield Attention(f"breaker-{view.provider}", tone, words, card.page_url, f"Look at {view.provider}")


def _budgets(request: HttpRequest, uses: Iterable[BudgetUse]) -> Iterator[Attention]:
    address = changelist_url(request, "Budget")
    for use in uses:
        if not use.near_its_end:
            continue
        one = use.standing
        taken = usd(one.spent_usd + one.reserved_usd)
        words = f"Budget {use.title}: {used_percent(float(use.used_share))} used, {taken} of {usd(one.limit_usd)}"
        ends = f", until {clock(one.resets_at)}" if one.resets_at else ""
        full = use.used_share >= 1
        then = (", so it refuses requests" if use.blocks else ", it only alerts") if full else ""
        href = f"{address}{use.id}/change/" if address else ""
        yield Attention(
            f"budget-{use.id}-{one.subject}",
            "bad" if full else "warn",
            f"{words}{ends}{then}.",
            href,
            "Open the budget",
        )


def _objectives(cards: Iterable[ObjectiveCard]) -> Iterator[Attention]:
    for card in cards:
        if card.verdict == "missed":
            yield Attention(f"objective-{card.key}", "bad", missed_words(card), f"#objective-{card.key}", "Details")


def _alerts(request: HttpRequest, now: datetime) -> Iterator[Attention]:
    for alert in alerts_open():
        words = f"{alert.subject}: {alert.message} (since {clock(alert.opened_at)})"
        href = changelist_url(request, "Alert", kind__exact=alert.kind)
        yield Attention(f"alert-{alert.pk}", "bad", words, href, "Incidents")
    for one in alerts_undelivered(now=now):
        many = "1 alert message" if one.messages == 1 else f"{one.messages} alert messages"
        words = f"{many} could not be delivered to {one.channel}, the last one {clock(one.last_at)}."
        href = changelist_url(request, "AlertChannel")
        yield Attention(f"delivery-{one.channel}", "bad", words, href, "Alert channels")


def _models(request: HttpRequest, now: datetime) -> Iterator[Attention]:
    catalogue = reverse("dashboard:models") if request.user.has_perm(SEE_PRICES) else ""
    for one in unpriced_models(now=now):
        if not one.routes:
            continue
        words = f"No price is known for {one.model}, so {_route_words(one.routes)} can't use it."
        yield Attention(f"price-{one.kind}-{one.model}", "bad", words, changelist_url(request, "Price"), "Prices")
    by_model: dict[tuple[str, str], list[RetiringTarget]] = {}
    for target in retiring_targets(now):
        by_model.setdefault((target.provider, target.model), []).append(target)
    for (provider, model), targets in by_model.items():
        first, routes = targets[0], tuple(dict.fromkeys(target.route for target in targets))
        day = f"{first.retired_on.day} {first.retired_on:%B %Y}"
        instead = f" Its successor is {first.successor}." if first.successor else ""
        use = "uses" if len(routes) == 1 else "use"
        words = f"The vendor's last day for {model}: {day}; {_route_words(routes)} {use} it.{instead}"
        yield Attention(f"retiring-{provider}-{model}", "warn", words, catalogue, "Models")


def _route_words(routes: Sequence[str]) -> str:
    return ("route " if len(routes) == 1 else "routes ") + ", ".join(routes)


def _drills(now: datetime) -> Iterator[Attention]:
    for drill in drills_running(now=now):
        fault = fault_words(drill.fault)
        words = f"Fire drill {drill.id} runs until {clock(drill.ends_at)}: {fault} at {drill.subject}."
        yield Attention(f"drill-{drill.id}", "info", words, reverse("dashboard:drill", args=[drill.id]), "Report")
