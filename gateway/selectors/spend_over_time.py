"""Spend step by step in time, divided by one thing, and who spent most: exact for any stretch of time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal

from gateway.selectors.time_steps import TimeSteps, time_steps
from gateway.selectors.usage_cells import EVERYTHING, ZERO_USD, Usage, UsageFilter
from gateway.selectors.usage_read import usage_by, usage_by_step
from gateway.selectors.windows import TimeWindow

# What spend may be divided by, as addresses say it, and the roll-ups' name of it.
SPEND_DIMENSIONS = {
    "provider": "provider",
    "model": "model",
    "route": "route_name",
    "team": "team_name",
    "api_key": "api_key_name",
}
TOP_NAMES = 8


@dataclass(frozen=True, slots=True)
class SpendName:
    """One name's spend. `name` is "" where there is none; `others` counts the names that were put together."""

    name: str
    total_usd: Decimal
    completions: int
    steps_usd: tuple[Decimal, ...] = ()
    others: int = 0


@dataclass(frozen=True, slots=True)
class SpendOverTime:
    """`series`: the dearest names, dearest first, then the others as one. They add up to `total_usd`."""

    steps: TimeSteps
    series: tuple[SpendName, ...]
    totals_usd: tuple[Decimal, ...]
    total_usd: Decimal


@dataclass(frozen=True, slots=True)
class SpendTops:
    """`by` holds the dearest names of each of `SPEND_DIMENSIONS`, the others as one; `whole` is all of it."""

    whole: Usage
    by: dict[str, tuple[SpendName, ...]]


def spend_over_time(
    window: TimeWindow, *, by: str, zone: tzinfo, where: UsageFilter = EVERYTHING, top: int = TOP_NAMES
) -> SpendOverTime:
    """`by` is one of `SPEND_DIMENSIONS`. At most six queries.

    By provider and model an amount counts where its attempt was made; what no attempt accounts for (an orphan of a
    crash) has the name "".
    """
    steps = time_steps(window, zone=zone)
    usages = usage_by_step(steps.windows, by=(SPEND_DIMENSIONS[by],), where=where)
    amounts: defaultdict[str, list[Decimal]] = defaultdict(lambda: [ZERO_USD] * len(steps.windows))
    completions: defaultdict[str, int] = defaultdict(int)
    for (step, name), usage in usages.items():
        amounts[name][step] += usage.cost_usd
        completions[name] += usage.completions
    names = (SpendName(name, sum(row, ZERO_USD), completions[name], tuple(row)) for name, row in amounts.items())
    series = _dearest(names, top)
    totals = tuple(sum(column, ZERO_USD) for column in zip(*amounts.values(), strict=True)) or (ZERO_USD,) * len(
        steps.windows
    )
    return SpendOverTime(steps, series, totals, sum(totals, ZERO_USD))


def spend_tops(window: TimeWindow, *, where: UsageFilter = EVERYTHING, top: int = TOP_NAMES) -> SpendTops:
    """The dearest of everything, from one reading, so that all of it adds up to the same. At most six queries."""
    columns = tuple(SPEND_DIMENSIONS.values())
    spent = [defaultdict[str, Decimal](Decimal) for _ in columns]
    counts = [defaultdict[str, int](int) for _ in columns]
    whole: list[Usage] = []
    for names, usage in usage_by(window, *columns, where=where).items():
        whole.append(usage)
        for index, name in enumerate(names):
            spent[index][name] += usage.cost_usd
            counts[index][name] += usage.completions
    by = {
        dimension: _dearest((SpendName(name, usd, counts[index][name]) for name, usd in spent[index].items()), top)
        for index, dimension in enumerate(SPEND_DIMENSIONS)
    }
    return SpendTops(_sum(whole), by)


def _sum(usages: Iterable[Usage]) -> Usage:
    """Amounts, tokens, completions and answers from the cache; times are left out."""
    names = (
        *("completions", "answered", "cache_hits", "input_tokens", "output_tokens"),
        *("cost_usd", "estimated_usd", "unknown_usd", "saved_usd"),
    )
    sums: dict[str, Decimal | int] = defaultdict(int)
    for usage in usages:
        for name in names:
            sums[name] += getattr(usage, name)
    return Usage(**sums)  # type: ignore[arg-type]


def _dearest(names: Iterable[SpendName], top: int) -> tuple[SpendName, ...]:
    """Names without spend are left out; all beyond the first `top` become one, unless only one is left."""
    paid = sorted((one for one in names if one.total_usd), key=lambda one: (-one.total_usd, one.name))
    if len(paid) <= top + 1:
        return tuple(paid)
    rest = paid[top:]
    others = SpendName(
        name="",
        total_usd=sum((one.total_usd for one in rest), ZERO_USD),
        completions=sum(one.completions for one in rest),
        steps_usd=tuple(sum(column, ZERO_USD) for column in zip(*(one.steps_usd for one in rest), strict=True)),
        others=len(rest),
    )
    return (*paid[:top], others)
