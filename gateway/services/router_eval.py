"""The rule scorer on questions whose answers by a strong and a weak model have been graded: pure arithmetic.

Random routing is the baseline: whoever sends a share of queries to the strong model by the dice recovers that share of
the quality between the two models, so its area is 0.5 (RouteLLM, arXiv 2406.18665: APGR, CPT).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson

from gateway.engine.tier import BUILT_IN_RULES, Rules, decide
from gateway.engine.words import Wire
from gateway.wires import parse_request
from gateway.wires.tier_facts import read_for_tier, with_features


@dataclass(frozen=True, slots=True)
class Graded:
    """`score` says how demanding the query seems; higher goes to the strong model first."""

    score: float
    weak: float
    strong: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`apgr` is the mean share of the quality gap that is recovered over all shares of strong calls, `cpt50` the share
    of strong calls that recovers half of it; None where the models don't differ."""

    queries: int
    weak_mean: float
    strong_mean: float
    apgr: float | None
    cpt50: float | None


def graded_query(record: Mapping[str, Any], *, strong: str, weak: str, rules: Rules = BUILT_IN_RULES) -> Graded:
    """Raises KeyError where a model's grade is missing, InvalidRequest for messages that are none."""
    parsed = parse_request(Wire.OPENAI, orjson.dumps({"model": "eval", "messages": record["messages"]}))
    facts = with_features(read_for_tier(Wire.OPENAI, parsed), parsed).facts
    decision = decide(facts, rules)
    # What a hard rule sends to the strong model goes there before anything that is scored.
    score = float("inf") if decision.score is None else decision.score
    return Graded(score, float(record["scores"][weak]), float(record["scores"][strong]))


def evaluate(graded: Iterable[Graded]) -> Evaluation:
    """Queries of one score are taken in the order in which they came."""
    rows = sorted(graded, key=lambda row: -row.score)
    count = len(rows)
    weak, strong = sum(row.weak for row in rows), sum(row.strong for row in rows)
    if not count or strong == weak:
        return Evaluation(count, weak / max(count, 1), strong / max(count, 1), None, None)
    recovered = _recovered(rows, strong - weak)
    apgr = sum((before + after) / 2 for before, after in pairwise(recovered)) / count
    half = next(calls for calls, share in enumerate(recovered) if share >= 0.5)
    return Evaluation(count, weak / count, strong / count, apgr, half / count)


def _recovered(rows: Sequence[Graded], gap: float) -> list[float]:
    """The share of the gap with none, one, two … of the queries answered by the strong model."""
    shares, gained = [0.0], 0.0
    for row in rows:
        gained += row.strong - row.weak
        shares.append(gained / gap)
    return shares
