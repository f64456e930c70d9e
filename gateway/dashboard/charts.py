"""Charts as plain values: what the script draws and what the table beside it says are the same rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from gateway.ledger.money import usd_text
from gateway.selectors.spend import SpendTimeline
from gateway.templatetags.plain_words import usd

UNATTRIBUTED = "no provider known"


@dataclass(frozen=True, slots=True)
class SpendChart:
    """`data` goes to the script as JSON (amounts as exact text), `rows` to the table: hour, then amount by amount."""

    data: dict[str, Any]
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: str
    empty: bool


def spend_chart(timeline: SpendTimeline) -> SpendChart:
    labels = [timezone.localtime(hour).strftime("%H:%M") for hour in timeline.hours]
    series = [
        {
            "name": one.provider or UNATTRIBUTED,
            "values": [usd_text(amount) for amount in one.hourly_usd],
            "total": usd(one.total_usd),
        }
        for one in timeline.series
    ]
    rows = tuple(
        (label, *(usd(one.hourly_usd[index]) for one in timeline.series)) for index, label in enumerate(labels)
    )
    return SpendChart(
        data={"labels": labels, "series": series},
        headers=tuple(one.provider or UNATTRIBUTED for one in timeline.series),
        rows=rows,
        total=usd(timeline.total_usd),
        empty=not timeline.series,
    )
