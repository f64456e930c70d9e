"""Which targets a request may use, in which order, and why: a pure decision that is stored with the completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.engine.configuration import Route, Target


@dataclass(frozen=True, slots=True)
class Plan:
    """The targets in the order of trying. `decision` is what the explanation page shows."""

    targets: tuple[Target, ...]
    decision: Mapping[str, Any]


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


def fits_window(target: Target, failed: Target) -> bool:
    """Whether `target` may hold what was too long for `failed`: its window is larger, or unknown."""
    window, failed_window = target.traits.context_window_tokens, failed.traits.context_window_tokens
    return window is None or failed_window is None or window > failed_window
