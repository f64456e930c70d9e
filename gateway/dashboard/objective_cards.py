"""The four service levels in words: how they stand, what was promised, how much may still go wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.selectors.objectives import CostMeasure, CostObjective, Fewest, Measure, Objective, ServiceLevels
from gateway.templatetags.plain_words import NOTHING, count, duration, percent, usd


@dataclass(frozen=True, slots=True)
class Reading:
    """One stretch of time: its value, what it was counted from, and whether it is as promised (None: nothing yet).

    `enough`: it was counted from as many as alerts need, so that one failed request at night is no missed objective.
    """

    period: str
    value: str
    counted: str
    met: bool | None
    enough: bool

    @property
    def missed(self) -> bool:
        return self.met is False and self.enough


@dataclass(frozen=True, slots=True)
class ObjectiveCard:
    """`budget_percent` is what is left of the error budget, 0 to 100 for its bar; None where there is none."""

    key: str
    title: str
    promise: str
    readings: tuple[Reading, Reading]
    budget_words: str
    budget_percent: int | None
    tone: str
    verdict: str


def objective_cards(levels: ServiceLevels) -> tuple[ObjectiveCard, ...]:
    cost, fewest = levels.conversation_cost_usd, levels.fewest
    return (
        _card(
            "availability",
            "Answered requests",
            f"at least {_number(levels.availability_percent)} % of requests are answered",
            levels.availability_percent,
            fewest,
            _percent_of,
            "request",
            "of the failures that 30 days allow",
        ),
        _card(
            "fallback",
            "Rescued by fallback",
            f"at least {_number(levels.fallback_success_percent)} % of fallbacks end in an answer",
            levels.fallback_success_percent,
            fewest,
            _percent_of,
            "fallback",
            "of the lost fallbacks that 30 days allow",
        ),
        _card(
            "latency",
            "Response time",
            f"answers take at most {_number(levels.mean_latency_seconds)} s on average",
            levels.mean_latency_seconds,
            fewest,
            _seconds_of,
            "answer",
            "of the promised time is unused",
        ),
        _cost_card(cost, fewest),
    )


def missed_words(card: ObjectiveCard) -> str:
    """For a card that is missed: one sentence with what was promised and what came."""
    missed = " and ".join(f"{one.value} in the {one.period}" for one in card.readings if one.missed)
    return f"{card.title} missed the objective: {missed}, where {card.promise}."


def _card(
    key: str,
    title: str,
    promise: str,
    objective: Objective,
    fewest: Fewest,
    words: Callable[[Measure], str],
    thing: str,
    left_of: str,
) -> ObjectiveCard:
    readings = tuple(
        Reading(
            period,
            words(measure),
            _counted(measure.counted, thing),
            objective.met(measure),
            fewest.reached_by(measure.counted, objective.failures(measure)),
        )
        for period, measure in (("last 24 hours", objective.last_24h), ("last 30 days", objective.last_30d))
    )
    return _finished(key, title, promise, (readings[0], readings[1]), objective.error_budget_left_percent, left_of)


def _cost_card(objective: CostObjective, fewest: Fewest) -> ObjectiveCard:
    day, month = (
        Reading(
            period,
            _cost_value(measure),
            _cost_counted(measure, objective),
            objective.met(measure),
            fewest.reached_by(measure.conversations, None),
        )
        for period, measure in (("last 24 hours", objective.last_24h), ("last 30 days", objective.last_30d))
    )
    promise = f"a conversation costs at most {usd(objective.target_usd)} on average"
    left = objective.error_budget_left_percent
    return _finished("cost", "Cost of a conversation", promise, (day, month), left, "of the promised cost is unused")


def _finished(
    key: str, title: str, promise: str, readings: tuple[Reading, Reading], left: float | None, left_of: str
) -> ObjectiveCard:
    tone, verdict = _verdict(readings)
    if readings[1].met is None or left is None:
        return ObjectiveCard(key, title, promise, readings, "Nothing to judge in 30 days.", None, tone, verdict)
    bar = max(0, min(100, round(left)))
    words = "The error budget of 30 days is used up." if left <= 0 else f"Error budget: {_whole(left)} % {left_of}."
    return ObjectiveCard(key, title, promise, readings, words, bar, tone, verdict)


def _verdict(readings: tuple[Reading, Reading]) -> tuple[str, str]:
    """A tone, and the words of the badge. What is below the promise with too few to tell is neither met nor missed."""
    met = [one.met for one in readings]
    if any(one.missed for one in readings):
        return "bad", "missed"
    if False in met:
        return "warn", "too few to tell"
    return ("good", "met") if True in met else ("quiet", "no data yet")


def _whole(left: float) -> str:
    return f"{left:.0f}" if 1 <= left <= 99 or left == 100 else f"{left:.1f}" if left < 1 else "99"


def _number(objective: Objective) -> str:
    return f"{objective.target.normalize():f}"


def _percent_of(measure: Measure) -> str:
    """Two digits more than people usually need: 99.9 % and 99.95 % are different promises."""
    if measure.value is None:
        return NOTHING
    if measure.value in (0, 100):
        return f"{measure.value:.0f} %"
    return f"{min(99.99, measure.value):.2f} %"


def _seconds_of(measure: Measure) -> str:
    return duration(None if measure.value is None else measure.value * 1000)


def _cost_value(measure: CostMeasure) -> str:
    return NOTHING if measure.mean_usd is None else usd(measure.mean_usd)


def _cost_counted(measure: CostMeasure, objective: CostObjective) -> str:
    if measure.share_above is None:
        return "no conversations"
    conversations = _counted(measure.conversations, "conversation")
    return f"{conversations}, {percent(measure.share_above)} above {usd(objective.target_usd)}"


def _counted(number: int, thing: str) -> str:
    return f"no {thing}s" if not number else f"{count(number)} {thing}{'' if number == 1 else 's'}"
