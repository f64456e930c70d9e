"""Every target of a route as a request would find it now: in which order, used or not, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from gateway.engine import configuration
from gateway.engine.routing import fits_window
from gateway.engine.words import BreakerState
from gateway.models import Target
from gateway.selectors.breakers import BreakerView
from gateway.selectors.decision_words import left_out_reasons
from gateway.services.call import Call
from gateway.services.charging import BoundsOf, price_of, worst_case_usd
from gateway.services.dry_run_request import Question
from gateway.services.opening import Opening
from gateway.services.snapshot import Snapshot


class Standing(StrEnum):
    """What would become of a target."""

    FIRST = "first"  # it would be asked
    NEXT = "next"  # it would be asked if those before it fail
    SKIPPED = "skipped"  # its turn would come, and pass: its breaker lets nothing through
    TOO_SMALL = "too_small"  # the request doesn't fit its window
    LEFT_OUT = "left_out"  # not part of the plan
    NOT_ASKED = "not_asked"  # the request is refused before anybody is asked


@dataclass(frozen=True, slots=True)
class Candidate:
    """`order` counts from 1 among the targets of the plan, None for those that are no part of it. `breaker` is a state
    or "" where nothing is known; `worst_case_usd` None where there is no price."""

    target: str
    provider: str
    model: str
    standing: Standing
    reasons: tuple[str, ...]
    order: int | None = None
    breaker: str = ""
    next_probe_at: datetime | None = None
    context_window_tokens: int | None = None
    worst_case_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What candidates are judged by. `opening` is None where the request is refused before anybody is asked."""

    rows: Sequence[Target]  # of the route, in its order, the cheap one last
    snapshot: Snapshot
    call: Call
    question: Question
    opening: Opening | None
    decision: Mapping[str, Any]
    breakers: Mapping[str, BreakerView]
    now: datetime


def candidates_of(scene: Scene) -> tuple[Candidate, ...]:
    """Those of the plan in the order of trying, then the others in the route's."""
    planned = tuple(_planned(scene)) if scene.opening is not None else ()
    names = {one.target for one in planned}
    return (*planned, *(_outside(row, scene) for row in scene.rows if str(row) not in names))


def _planned(scene: Scene) -> Iterator[Candidate]:
    assert scene.opening is not None
    first_reason = scene.opening.draft.plan.first_reason
    asked: list[configuration.Target] = []
    for order, target in enumerate(scene.opening.draft.plan.targets, start=1):
        standing, reason = _standing(target, asked, scene)
        if standing in (Standing.FIRST, Standing.NEXT, Standing.TOO_SMALL):
            asked.append(target)
        reasons = (*([first_reason] if order == 1 else []), reason, *_key_missing(target.provider))
        yield _candidate(target, standing, tuple(filter(None, reasons)), scene, scene.opening.bounds, order)


def _standing(
    target: configuration.Target, asked: Sequence[configuration.Target], scene: Scene
) -> tuple[Standing, str]:
    """As the engine will decide it, so far as that can be known before asking."""
    refusal = _breaker_refusal(scene.breakers.get(target.provider.name), scene.now)
    if refusal:
        return Standing.SKIPPED, refusal
    tokens, window = scene.question.likely_input_tokens, target.traits.context_window_tokens
    if window is not None and tokens > window:
        return (
            Standing.TOO_SMALL,
            f"about {tokens:,} tokens don't fit its window of {window:,}: it would turn them down",
        )
    able = [one for one in asked if _holds(one, tokens)]
    if not able:
        probe = _probe_words(scene.breakers.get(target.provider.name))
        return Standing.FIRST, probe or ("it would be asked" if asked else "")
    if not fits_window(target, asked[0]) and not _holds(asked[0], tokens):
        return Standing.TOO_SMALL, "its window is no larger than that of the one before"
    return Standing.NEXT, f"asked if {able[-1].name} fails"


def _holds(target: configuration.Target, tokens: int) -> bool:
    window = target.traits.context_window_tokens
    return window is None or tokens <= window


def _breaker_refusal(view: BreakerView | None, now: datetime) -> str:
    """Why the breaker lets nothing through, "" where it does."""
    if view is None or view.state == BreakerState.CLOSED:
        return ""
    if view.forced:
        reason = f": {view.forced_reason}" if view.forced_reason else ""
        return f"operations hold its breaker open{reason}"
    if view.next_probe_at is None or view.next_probe_at <= now:
        return ""
    return f"its breaker is {_state(view)}, next probe in {(view.next_probe_at - now).total_seconds():.0f} s"


def _probe_words(view: BreakerView | None) -> str:
    if view is None or view.forced or view.state == BreakerState.CLOSED:
        return ""
    return f"its breaker is {_state(view)} and its pause is over: this request would be the probe"


def _state(view: BreakerView) -> str:
    return view.state.replace("_", "-")


def _key_missing(provider: configuration.Provider) -> tuple[str, ...]:
    return () if provider.api_key else ("its provider has no API key here, so it will turn the call down",)


def _outside(row: Target, scene: Scene) -> Candidate:
    target = _of_snapshot(row, scene.snapshot)
    bounds = scene.opening.bounds if scene.opening is not None else None
    refused = scene.opening is None
    reason = _outside_reason(row, target, scene)
    standing = Standing.LEFT_OUT if reason or not refused else Standing.NOT_ASKED
    return _candidate(target, standing, (reason,) if reason else (), scene, bounds, None)


def _of_snapshot(row: Target, snapshot: Snapshot) -> configuration.Target:
    return configuration.Target.of(snapshot.providers[row.provider.name], row.model)


def _outside_reason(row: Target, target: configuration.Target, scene: Scene) -> str:
    operation = scene.call.operation
    if not row.provider.enabled:
        return "its provider is switched off"
    if price_of(scene.snapshot.price_book, target, scene.now) is None:
        return "no price is known for it, so nothing is sent there: add one under Prices"
    if operation.is_metered and target.provider.kind is not operation.surface:
        return f"a provider of kind {target.provider.kind.value} has no {operation.value}"
    if row.simple:
        return "the cheap model, for simple queries only"
    return left_out_reasons(scene.decision).get(str(row), "")


def _candidate(
    target: configuration.Target,
    standing: Standing,
    reasons: tuple[str, ...],
    scene: Scene,
    bounds: BoundsOf | None,
    order: int | None,
) -> Candidate:
    view = scene.breakers.get(target.provider.name)
    prices, now = scene.snapshot.price_book, scene.now
    known = bounds is not None and price_of(prices, target, now) is not None
    return Candidate(
        target=target.name,
        provider=target.provider.name,
        model=target.model,
        standing=standing,
        reasons=reasons,
        order=order,
        breaker=view.state if view is not None else "",
        next_probe_at=view.next_probe_at if view is not None else None,
        context_window_tokens=target.traits.context_window_tokens,
        worst_case_usd=worst_case_usd(prices, [target], bounds, now) if known and bounds is not None else None,
    )
