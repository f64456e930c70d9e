"""How the gateway is doing, as the operators' API tells it: service levels, providers, queues."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import cast

from django.conf import settings
from ninja import Schema
from pydantic import Field

from gateway.api.operators_schemas import BreakerWord, ForcedWord, Usd
from gateway.selectors import objectives
from gateway.selectors.breakers import BreakerView
from gateway.selectors.ledger_spool import SpoolState
from gateway.services.live import LiveProvider, LiveState


class Measure(Schema):
    """`value` and `met` are null where nothing was counted."""

    value: float | None
    met: bool | None
    counted: int


class Objective(Schema):
    target: float
    last_24h: Measure
    last_30d: Measure
    error_budget_left_percent: float | None = Field(
        description="Of what 30 days allow: 100 while nothing is used up, below 0 once the objective is missed."
    )


class CostMeasure(Schema):
    value: Usd | None
    met: bool | None
    counted: int
    share_above_target: float | None = Field(description="Conversations that cost more than the target, 0 to 1.")


class CostObjective(Schema):
    target: Usd
    last_24h: CostMeasure
    last_30d: CostMeasure
    error_budget_left_percent: float | None


class Objectives(Schema):
    availability_percent: Objective
    fallback_success_percent: Objective
    mean_latency_seconds: Objective
    conversation_cost_usd: CostObjective


class ProviderStatus(Schema):
    """`in_flight` and `queued` are this process's; null where the process doesn't serve."""

    provider: str
    enabled: bool
    state: BreakerWord
    forced: ForcedWord | None
    in_flight: int | None
    queued: int | None


class Spool(Schema):
    """What waits on this machine, whichever process put it there, until the database is back."""

    records: int
    payload_bytes: int
    processes: int
    oldest_at: datetime | None


class Ledger(Schema):
    """The writer of this process; null where the process doesn't serve. `away` says why the database can't be used."""

    healthy: bool | None
    queue_depth: int | None
    away: str | None
    spool: Spool


class Status(Schema):
    version: str = Field(description="Of the process that answers.")
    serving: bool
    missing: list[str] = Field(description="What keeps this process from serving; empty when it is ready.")
    configuration_version: int | None
    objectives: Objectives
    providers: list[ProviderStatus]
    ledger: Ledger
    redis: str | None = Field(
        description="`connected`, `away: …` (each process goes on with breakers of its own), or `not used: …`; null "
        "where the process doesn't serve."
    )


def status(
    levels: objectives.ServiceLevels, breakers: Iterable[BreakerView], live: LiveState | None, spool: SpoolState
) -> Status:
    providers = live.providers if live else {}
    return Status(
        version=settings.LLMOPS_VERSION,
        serving=live is not None,
        missing=list(live.missing) if live else ["this process doesn't serve the agents' API"],
        configuration_version=live.configuration_version if live else None,
        objectives=_objectives(levels),
        providers=[_provider(view, providers.get(view.provider)) for view in breakers],
        ledger=Ledger(
            healthy=live.ledger_healthy if live else None,
            queue_depth=live.ledger_queue_depth if live else None,
            away=live.ledger_away if live else None,
            spool=Spool(**asdict(spool)),
        ),
        redis=live.redis if live else None,
    )


def _objectives(levels: objectives.ServiceLevels) -> Objectives:
    cost = levels.conversation_cost_usd
    return Objectives(
        availability_percent=_objective(levels.availability_percent),
        fallback_success_percent=_objective(levels.fallback_success_percent),
        mean_latency_seconds=_objective(levels.mean_latency_seconds),
        conversation_cost_usd=CostObjective(
            target=cost.target_usd,
            last_24h=_cost_measure(cost, cost.last_24h),
            last_30d=_cost_measure(cost, cost.last_30d),
            error_budget_left_percent=cost.error_budget_left_percent,
        ),
    )


def _objective(objective: objectives.Objective) -> Objective:
    def measure(one: objectives.Measure) -> Measure:
        return Measure(value=one.value, met=objective.met(one), counted=one.counted)

    return Objective(
        target=float(objective.target),
        last_24h=measure(objective.last_24h),
        last_30d=measure(objective.last_30d),
        error_budget_left_percent=objective.error_budget_left_percent,
    )


def _cost_measure(objective: objectives.CostObjective, measure: objectives.CostMeasure) -> CostMeasure:
    return CostMeasure(
        value=measure.mean_usd,
        met=objective.met(measure),
        counted=measure.conversations,
        share_above_target=measure.share_above,
    )


def _provider(view: BreakerView, live: LiveProvider | None) -> ProviderStatus:
    return ProviderStatus(
        provider=view.provider,
        enabled=view.enabled,
        state=cast("BreakerWord", view.state),
        forced=cast("ForcedWord | None", view.forced),
        in_flight=live.in_flight if live else None,
        queued=live.queued if live else None,
    )
