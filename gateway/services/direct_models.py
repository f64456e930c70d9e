"""`provider/model` as a model name, for keys that may: a route of one target, made for the request."""

from __future__ import annotations

from dataclasses import replace

from gateway.engine.configuration import Route, Target
from gateway.services.snapshot import Snapshot
from gateway.services.snapshot_load import REASONING_FIRST_TOKEN_SECONDS


def direct_route(snapshot: Snapshot, model: str) -> Route | None:
    """None where `model` names no enabled provider. It has the provider's time-outs and a route's defaults, no row and
    no id: budgets of routes don't count it, all others do."""
    provider_name, _, model_name = model.partition("/")
    provider = snapshot.providers.get(provider_name)
    if provider is None or not provider.enabled or not model_name:
        return None
    target = Target.of(provider, model_name)
    if target.traits.reasoning:
        first_seconds = max(target.timeouts.first_token_seconds, REASONING_FIRST_TOKEN_SECONDS)
        target = replace(target, timeouts=replace(target.timeouts, first_token_seconds=first_seconds))
    return Route(name=model, targets=(target,))
