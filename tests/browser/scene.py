"""A day in the life of a gateway, for browser tests and pictures: traffic, a fallback, an open breaker."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone

from gateway.engine.drill import DrillFault
from gateway.models import (
    BreakerTransition,
    Budget,
    BudgetWindow,
    Completion,
    Drill,
    HealthProbe,
    Price,
    Provider,
    Route,
    Target,
    Team,
)
from gateway.selectors.budget_status import budget_span
from gateway.services.drills import drill_start
from gateway.services.price_seed import prices_seed
from tests.selectors.rows import add_attempt, add_completion, add_conversation, add_fallback, add_provider, open_breaker

STORY_ID = "req_01JDBB4F7Q9ZK3T8M2"
DRILLED_ID = "req_01JDBB4F7Q9DRILLED"
SONNET = "claude-3-5-sonnet-20241022"
DECISION = {
    "route": "default",
    "reason": "'gpt-4-turbo' is an alias of this route",
    "targets": ["openai/gpt-4-turbo", f"anthropic/{SONNET}"],
}


def stage() -> None:
    """Everything on the page has something to show."""
    Team.objects.create(pk=1, name="research")
    add_provider("openai")
    add_provider("anthropic", kind="anthropic")
    open_breaker("openai", last_error="503 Service Unavailable: The server is currently overloaded, try again later.")
    _breaker_day(timezone.now())
    price = Price.objects.create(
        kind="anthropic",
        model=SONNET,
        input_per_mtok=Decimal(3),
        cached_input_per_mtok=Decimal("0.3"),
        output_per_mtok=Decimal(15),
    )
    now = timezone.now()
    _traffic(now)
    _story(now - timedelta(seconds=8), price)
    _conversations(now)
    _budgets(now)


def stage_prices() -> Target:
    """A book with an outdated price and a missing one, and a route with a retired model and one without a price.

    Returns the target with the retired model.
    """
    provider = add_provider("openai")
    prices_seed()
    Price.objects.filter(model="gpt-4-turbo").update(input_per_mtok=Decimal(8))
    Price.objects.filter(model="gpt-4").delete()
    route = Route.objects.create(name="default")
    route.targets.create(provider=provider, model="our-own-model-of-a-rather-long-name-2026-11-22", position=1)
    retired: Target = route.targets.create(provider=provider, model="gpt-4-turbo")
    return retired


def _breaker_day(now: datetime) -> None:
    steps = (
        (900, "closed", "open", "5 consecutive failures"),
        (840, "open", "half_open", "the cool-down is over: one probe"),
        (838, "half_open", "closed", "the probe succeeded"),
        (300, "closed", "open", "forced open by ada: maintenance at the provider"),
        (180, "open", "closed", "reset by ada: maintenance is over"),
        (1, "closed", "open", "5 consecutive failures"),
    )
    for minutes, before, after, cause in steps:
        BreakerTransition.objects.create(
            provider="openai", at=now - timedelta(minutes=minutes), from_state=before, to_state=after, cause=cause
        )
    probes = ((1, False, "API key rejected (HTTP 401): Incorrect API key."), (6, True, "Works: 41 ms."))
    for minutes, ok, words in probes:
        HealthProbe.objects.create(
            provider="openai",
            at=now - timedelta(minutes=minutes),
            actor="ada" if ok else "",
            asked="the list of models",
            ok=ok,
            outcome="ok" if ok else "rejected_us",
            words=words,
            latency_ms=41,
        )


def stage_drill() -> Drill:
    """A drill that runs, what it has done so far, and its breaker."""
    stage()
    drill = drill_start(
        provider=Provider.objects.get(name="openai"),
        route=None,
        fault=DrillFault.UNAVAILABLE,
        share_percent=25,
        duration_seconds=600,
        actor="operator",
        note="Does the night shift's report survive an outage?",
    )
    for index in range(24):
        _drilled(DRILLED_ID if index == 0 else f"req_drilled{index:03d}", drill, latency_ms=1900 + index * 40)
        add_completion(f"req_undrilled{index:03d}", at=drill.starts_at, route_id=1, latency_ms=900 + index * 25)
    opened = {"provider": "openai", "drill_id": drill.pk, "cause": "5 consecutive failures"}
    BreakerTransition.objects.create(at=drill.starts_at, from_state="closed", to_state="open", **opened)
    return drill


def _drilled(request_id: str, drill: Drill, *, latency_ms: int) -> None:
    facts = {"provider": "anthropic", "model": SONNET, "fell_back": True, "attempt_count": 2, "decision": DECISION}
    at = drill.starts_at
    row = add_completion(request_id, at=at, drill_id=drill.pk, route_id=1, latency_ms=latency_ms, **facts)
    failed = {"outcome": "failed", "failure": "server_error", "status": 503, "billing": "none", "latency_ms": 3}
    message = f"HTTP 503, injected by fire drill {drill.pk}"
    told = {"provider": "openai", "model": "gpt-4-turbo", "message": message, "drill_id": drill.pk, "fault": "503"}
    add_attempt(row, 1, **failed | told, reason="First target of the route.")
    add_attempt(row, 2, target_index=1, started_at=at + timedelta(milliseconds=5), latency_ms=latency_ms - 5)
    add_fallback(row, reason="server error 503", after_ms=5, extra_cost_usd=Decimal("-0.0021"))


def _traffic(now: datetime) -> None:
    dice = random.Random(7)
    for index in range(160):
        at = now - timedelta(minutes=1 + index * 8.7)
        claude = dice.random() < 0.3
        provider, model = ("anthropic", SONNET) if claude else ("openai", "gpt-4-turbo")
        tokens_in, tokens_out = dice.randint(300, 4000), dice.randint(50, 900)
        cost = (tokens_in * Decimal(10) + tokens_out * Decimal(30)) / 10**6
        failed, stream = index % 53 == 20, dice.random() < 0.5
        completion = add_completion(
            f"req_01JDBB{4000 - index:04d}Q9ZK3T8M2",
            at=at,
            provider="" if failed else provider,
            model="" if failed else model,
            fell_back=claude and not failed,
            attempt_count=2 if claude else 1,
            status="failed" if failed else "answered",
            http_status=503 if failed else 200,
            error_code="all_targets_failed" if failed else "",
            stream=stream,
            latency_ms=dice.randint(600, 3400),
            first_content_ms=dice.randint(250, 900) if stream else None,
            input_tokens=tokens_in,
            output_tokens=0 if failed else tokens_out,
            cost_usd=Decimal(0) if failed else cost,
            billing="none" if failed else "reported",
            team_name=dice.choice(("research", "support", "")),
            api_key_name=dice.choice(("agents", "support-bot", "nightly-report")),
            conversation=f"c-{index % 20}",
        )
        if not failed:
            add_attempt(completion, 1, cost_usd=cost, input_tokens=tokens_in, output_tokens=tokens_out)


def _conversations(now: datetime) -> None:
    """Totals as the ledger keeps them, and a cap that some have nearly used up."""
    cap = Budget.objects.create(
        name="each conversation", scope="conversation", window="total", limit_usd=Decimal("0.5")
    )
    for index in range(20):
        cost = Decimal(index * 26) / 1000
        first, last = now - timedelta(minutes=index * 90 + 80), now - timedelta(minutes=index * 7 + 1)
        totals = {"completions": 8, "input_tokens": 17_200, "output_tokens": 3_480, "cost_usd": cost}
        add_conversation(f"c-{index}", first_seen_at=min(first, last), last_seen_at=last, **totals)
        BudgetWindow.objects.create(budget_id=cap.pk, subject=f"0:c-{index}", window_epoch=0, spent_usd=cost)


def _budgets(now: datetime) -> None:
    """One with room, one nearly used up, one that was passed because it only alerts."""
    uses = (
        ("everything", "global", "block", 9000, 1204),
        ("research day", "team", "block", 20, 17),
        ("night", "global", "alert", 5, 6),
    )
    team = Team.objects.get_or_create(name="research")[0]
    for name, scope, enforcement, limit_usd, spent_usd in uses:
        window = "day" if scope == "team" else "month"
        names = {"name": name, "scope": scope, "enforcement": enforcement, "window": window}
        budget = Budget.objects.create(**names, team=team if scope == "team" else None, limit_usd=Decimal(limit_usd))
        start, _ = budget_span(budget, now, ZoneInfo("UTC"))
        assert start is not None
        subject = str(team.pk) if scope == "team" else ""
        BudgetWindow.objects.create(
            budget_id=budget.pk,
            subject=subject,
            window_epoch=int(start.timestamp()),
            spent_usd=Decimal(spent_usd),
            reserved_usd=Decimal("0.4"),
        )


def _check(budget: str, limit: int, spent: int) -> dict[str, Any]:
    facts = {"budget_id": 0, "budget": budget, "subject": "", "starts_at": None, "resets_at": None, "blocking": True}
    amounts = {"limit": limit * 10**12, "spent": spent * 10**12, "reserved": 4 * 10**11, "claimed": 142_100_000_000}
    return {**facts, **amounts, "verdict": "fits"}


def _story(at: datetime, price: Price) -> Completion:
    story = add_completion(
        STORY_ID,
        at=at,
        provider="anthropic",
        model=SONNET,
        attempt_count=3,
        fell_back=True,
        team_id=1,
        team_name="research",
        conversation="thesis-42",
        latency_ms=3100,
        input_tokens=1850,
        cached_input_tokens=1024,
        output_tokens=412,
        finish_reason="stop",
        cost_usd=Decimal("0.0089652"),
        reserved_usd=Decimal("0.1421"),
        decision=DECISION,
        budget_checks=[_check("research month", 500, 481), _check("everything", 9000, 1200)],
        dropped_params=["logit_bias"],
    )
    failed = {
        "provider": "openai",
        "model": "gpt-4-turbo",
        "outcome": "failed",
        "failure": "server_error",
        "status": 503,
        "message": "The server is currently overloaded with other requests. Try again later.",
        "billing": "none",
        "latency_ms": 320,
    }
    add_attempt(story, 1, **failed, reason="First target of the route.")
    add_attempt(
        story,
        2,
        **failed | {"started_at": at + timedelta(milliseconds=830), "retry": 1},
        reason="Same target again after 0.5 s.",
    )
    add_attempt(
        story,
        3,
        target_index=1,
        reason="Next target: openai failed twice and its breaker opened.",
        status=200,
        started_at=at + timedelta(milliseconds=1190),
        latency_ms=1905,
        input_tokens=1850,
        cached_input_tokens=1024,
        output_tokens=412,
        cost_usd=Decimal("0.0089652"),
        upstream_id="msg_01XFDUDYJgAACzvnptvVoYEL",
        price_id=price.pk,
    )
    add_fallback(
        story, created_at=at, reason="server error 503, breaker open", after_ms=1185, extra_cost_usd=Decimal("-0.0159")
    )
    add_conversation("thesis-42", team_id=1, completions=7, cost_usd=Decimal("0.0627"))
    return story
