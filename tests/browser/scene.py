"""A day in the life of a gateway, for browser tests and pictures: traffic, a fallback, an open breaker."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal

from django.utils import timezone

from gateway.engine.drill import DrillFault
from gateway.models import BreakerTransition, Completion, Drill, Price, Provider
from gateway.services.drills import drill_start
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
    add_provider("openai")
    add_provider("anthropic", kind="anthropic")
    open_breaker("openai", last_error="503 Service Unavailable: The server is currently overloaded, try again later.")
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
