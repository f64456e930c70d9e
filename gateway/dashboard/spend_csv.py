"""Spend over time as a table for spreadsheets: a line per step, a column per name, exact amounts."""

from __future__ import annotations

import csv
import io

from django.utils import timezone

from gateway.dashboard.charts import spend_title
from gateway.ledger.money import usd_text
from gateway.selectors.completions_csv import safe_cell
from gateway.selectors.spend_over_time import SpendOverTime


def spend_csv(spend: SpendOverTime, *, by: str) -> str:
    """Times are those of the active zone with their distance from UTC; the last line is the sum of the others."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    names = [safe_cell(spend_title(one, by)) for one in spend.series]
    writer.writerow(["from", *(f"{name} (USD)" for name in names), "total (USD)"])
    for index, window in enumerate(spend.steps.windows):
        amounts = (usd_text(one.steps_usd[index]) for one in spend.series)
        start = timezone.localtime(window.start).isoformat()
        writer.writerow([start, *amounts, usd_text(spend.totals_usd[index])])
    writer.writerow(["total", *(usd_text(one.total_usd) for one in spend.series), usd_text(spend.total_usd)])
    return text.getvalue()
