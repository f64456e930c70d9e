"""Completions and attempts as CSV, for spreadsheets and warehouses: a bounded number of rows in memory at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q

from gateway.ledger.money import usd_text
from gateway.models.completion import Attempt, Completion

COLUMNS = (
    "id", "created_at", "finished_at", "status", "http_status", "error_code", "operation", "stream", "team_name",
    "api_key_name", "conversation", "requested_model", "route_name", "provider", "model", "attempt_count", "fell_back",
    "cache", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
    "cost_usd", "billing", "latency_ms", "first_content_ms",
)  # fmt: skip
# Without what providers said: it may quote contents.
ATTEMPT_COLUMNS = (
    "completion_id", "number", "started_at", "provider", "model", "target_index", "retry", "outcome", "failure",
    "status", "probe", "upstream_id", "latency_ms", "first_content_ms", "input_tokens", "cached_input_tokens",
    "cache_write_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens", "web_searches", "cost_usd",
    "billing", "price_id", "drill_id",
)  # fmt: skip
_ROWS_PER_QUERY = 1_000
# What a spreadsheet would take for a formula: OWASP, CSV Injection.
_FORMULA_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r")


def completions_csv(*, start: datetime, end: datetime, where: Q) -> Iterator[str]:
    """A line of names, then a line per completion that began in between, oldest first. Times are UTC, amounts exact.

    `where` is a condition on completions.
    """
    yield _line(COLUMNS)
    for chunk in _chunks(start, end, where, COLUMNS):
        yield "".join(_line(map(_text, row)) for row in chunk)


def attempts_csv(*, start: datetime, end: datetime, where: Q) -> Iterator[str]:
    """A line of names, then a line per attempt of those completions, in their order."""
    yield _line(ATTEMPT_COLUMNS)
    for chunk in _chunks(start, end, where, ("id", "created_at")):
        ids = [row[0] for row in chunk]
        attempts: dict[str, list[tuple[Any, ...]]] = {one: [] for one in ids}
        rows = Attempt.objects.filter(completion_id__in=ids).order_by("completion_id", "number")
        for row in rows.values_list(*ATTEMPT_COLUMNS):
            attempts[row[0]].append(row)
        yield "".join(_line(map(_text, row)) for one in ids for row in attempts[one])


def _chunks(start: datetime, end: datetime, where: Q, columns: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
    """Completions by time, so many at a time; `columns` begin with the id and the time."""
    after = Q(created_at__gte=start)
    rows = Completion.objects.filter(where, created_at__lt=end).order_by("created_at", "id")
    while True:
        chunk = list(rows.filter(after).values_list(*columns)[:_ROWS_PER_QUERY])
        if chunk:
            yield chunk
        if len(chunk) < _ROWS_PER_QUERY:
            return
        last_id, last_at = chunk[-1][0], chunk[-1][1]
        after = Q(created_at__gt=last_at) | Q(created_at=last_at, id__gt=last_id)


def _line(values: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(values)
    return line.getvalue()


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return usd_text(value)
    return safe_cell(value) if isinstance(value, str) else value


def safe_cell(text: str) -> str:
    """The text, so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_BEGINNINGS) else text
