"""Which targets a request may use, in which order, and why: a pure decision that is stored with the completion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.engine.configuration import Route, Target
from gateway.engine.errors import InvalidRequest
from gateway.engine.words import Operation


@dataclass(frozen=True, slots=True)
class Plan:
    """The targets in the order of trying. `decision` is what the explanation page shows, `first_reason` why the first
    of them is the first.

    `cheap` names the target, if any, that stands before the others because the query seemed simple: what it refuses, or
    doesn't finish, is asked of the others (docs/simple-model.md)."""

    targets: tuple[Target, ...]
    decision: Mapping[str, Any]
    first_reason: str = "first target of the route"
    cheap: str = ""


def plan_completion(route: Route, requested_model: str) -> Plan:
    """The route's targets in its order."""
    reason = "asked by name" if requested_model == route.name else f"{requested_model!r} is an alias of this route"
    return Plan(
        targets=route.targets,
        decision={
            "route": route.name,
            "reason": reason,
            "targets": [target.name for target in route.targets],
        },
    )


def able_targets(plan: Plan, operation: Operation) -> Plan:
    """The plan without targets whose wire doesn't have the operation. Raises InvalidRequest when none is left.

    Only what is passed through is asked of its own wire alone; everything else can be translated.
    """
    if not operation.is_metered or not plan.targets:
        return plan
    kind = operation.surface
    able = tuple(target for target in plan.targets if target.provider.kind is kind)
    if len(able) == len(plan.targets):
        return plan
    unable = [target.name for target in plan.targets if target not in able]
    if not able:
        raise InvalidRequest(
            f"The route {plan.decision.get('route')!r} can't serve {operation.value}: that takes a target at a "
            f"provider of kind {kind.value}, and this route has only {', '.join(unable)}.",
            param="model",
        )
    return replace(plan, targets=able, decision={**plan.decision, f"left_out_without_{operation.value}": unable})


def put_first(first: Target, targets: Sequence[Target]) -> tuple[Target, ...]:
    """`first` and then the others, each once."""
    return (first, *(target for target in targets if target.name != first.name))


def fits_window(target: Target, failed: Target) -> bool:
    """Whether `target` may hold what was too long for `failed`: its window is larger, or unknown."""
    window, failed_window = target.traits.context_window_tokens, failed.traits.context_window_tokens
    return window is None or failed_window is None or window > failed_window
