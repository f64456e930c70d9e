"""Charts as plain values: what the script draws and what the table beside it says are the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zlib import crc32

from django.utils import timezone

from gateway.ledger.money import usd_text
from gateway.selectors.spend_over_time import SpendName, SpendOverTime
from gateway.selectors.time_steps import StepUnit
from gateway.templatetags.plain_words import usd

# What spend without a name is, by dimension.
NAMELESS = {
    "provider": "no provider known",
    "model": "no model known",
    "route": "no route",
    "team": "keys without a team",
    "api_key": "no key",
}
# Places in the script's list of colours; the last place is for the others.
COLORS = 12
OTHERS_COLOR = COLORS
_STEP_TITLES = {StepUnit.HOUR: "Hour from", StepUnit.DAY: "Day", StepUnit.MONTH: "Month"}


@dataclass(frozen=True, slots=True)
class SpendChart:
    """`data` goes to the script as JSON (amounts as exact text; `href` leads to a name's requests, "" where nothing
    does), `rows` to the table: step, then amount by amount."""

    data: dict[str, Any]
    step_title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    totals: tuple[str, ...]
    total: str
    empty: bool


def spend_chart(spend: SpendOverTime, *, by: str, href: Callable[[str], str]) -> SpendChart:
    """`href` is the address of a name's requests."""
    starts = [window.start for window in spend.steps.windows]
    labels = step_labels(starts, spend.steps.unit)
    names = [spend_title(one, by) for one in spend.series]
    colors = series_colors(name for name, one in zip(names, spend.series, strict=True) if not one.others)
    series = [
        {
            "name": name,
            "values": [usd_text(amount) for amount in one.steps_usd],
            "total": usd(one.total_usd),
            "color": colors.get(name, OTHERS_COLOR),
            "href": "" if one.others else href(one.name),
        }
        for name, one in zip(names, spend.series, strict=True)
    ]
    rows = tuple(
        (label, *(usd(one.steps_usd[index]) for one in spend.series), usd(spend.totals_usd[index]))
        for index, label in enumerate(labels)
    )
    return SpendChart(
        data={"labels": labels, "series": series},
        step_title=_STEP_TITLES[spend.steps.unit],
        headers=tuple(names),
        rows=rows,
        totals=(*(usd(one.total_usd) for one in spend.series), usd(spend.total_usd)),
        total=usd(spend.total_usd),
        empty=not spend.series,
    )


def spend_title(one: SpendName, by: str) -> str:
    if one.others:
        return f"{one.others} others"
    return one.name or NAMELESS[by]


def step_labels(starts: Iterable[datetime], unit: StepUnit) -> list[str]:
    """In the active zone; with the day where hours of more than one are shown."""
    local = [timezone.localtime(start) for start in starts]
    if unit is StepUnit.MONTH:
        return [f"{one:%b %Y}" for one in local]
    if unit is StepUnit.DAY:
        return [f"{one.day} {one:%b}" for one in local]
    several = len({one.date() for one in local}) > 1
    return [f"{one.day} {one:%b %H:%M}" if several else f"{one:%H:%M}" for one in local]


def series_colors(names: Iterable[str]) -> dict[str, int]:
    """A place in the list of colours by name: its own, whoever stands beside it, unless two names want the same one."""
    taken: dict[str, int] = {}
    for name in sorted(set(names)):
        place = crc32(name.encode()) % COLORS
        while place in taken.values():
            place = (place + 1) % COLORS
        taken[name] = place
    return taken
