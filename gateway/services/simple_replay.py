"""Stored decisions about simple queries made again, each by the rules of its own version: the same must come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from gateway.engine.tier import replayed
from gateway.models import Completion
from gateway.services.simple import choice_of
from gateway.services.simple_configuration import simple_rules_of


@dataclass(slots=True)
class Replay:
    """How many decisions were made again, and the requests in which something else came out, with what."""

    decisions: int = 0
    different: list[tuple[str, str]] = field(default_factory=list)


def decisions_replay(*, limit: int) -> Replay:
    """The newest `limit` stored decisions."""
    rules_of = cache(simple_rules_of)
    rows = Completion.objects.filter(decision__has_key="simple").order_by("-created_at")
    replay = Replay()
    for request_id, stored in rows.values_list("pk", "decision__simple")[:limit].iterator():
        replay.decisions += 1
        rules = rules_of(stored["rules"])
        problem = f"there is no version {stored['rules']} of the rules" if rules is None else _difference(stored, rules)
        if problem:
            replay.different.append((request_id, problem))
    return replay


def _difference(stored: Mapping[str, Any], rules: Any) -> str:
    decision = replayed(stored, rules)
    again = {
        "tier": decision.tier.value,
        "reason": decision.reason.value,
        "score": decision.score,
        "features": dict(decision.features),
        "choice": choice_of(decision, stored["mode"], stored["bucket"]).value,
    }
    told = [f"{name} {stored[name]} became {value}" for name, value in again.items() if stored[name] != value]
    return ", ".join(told)
