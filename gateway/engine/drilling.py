"""Which targets of a plan are drilled: one roll of the dice per completion and provider."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from gateway.engine.configuration import Provider, Target
from gateway.engine.drill import Drill, Injection
from gateway.engine.routing import Plan


def drilled_plan(
    plan: Plan, drills: Iterable[Drill], *, route_id: int, key_id: int, now: float, random: Callable[[], float]
) -> Plan:
    """The plan with the drilled providers in place of their own; the very same plan where no drill takes it.

    `now` is wall time; `random` gives numbers from 0 up to 1. Of several drills of a provider the first that takes the
    completion holds for all its attempts there.
    """
    if not plan.targets:
        return plan
    injections: dict[str, Injection] = {}
    for drill in drills:
        if not drill.concerns(route_id=route_id, key_id=key_id, now=now):
            continue
        name = drill.provider or plan.targets[0].provider.name
        if name not in injections and random() * 100 < drill.share_percent:
            injections[name] = Injection(drill.id, drill.fault)
    return _with(plan, injections) if injections else plan


def _with(plan: Plan, injections: dict[str, Injection]) -> Plan:
    owners: dict[str, Provider] = {}
    for provider in (target.provider for target in plan.targets):
        if provider.name in injections and provider.name not in owners:
            owners[provider.name] = replace(provider, drill=injections[provider.name])
    return replace(plan, targets=tuple(_owned(target, owners) for target in plan.targets))


def _owned(target: Target, owners: dict[str, Provider]) -> Target:
    owner = owners.get(target.provider.name)
    return target if owner is None else replace(target, provider=owner)
