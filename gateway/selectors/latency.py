"""How long answers took, as percentiles over any stretch of time.

Times are counted in buckets of two significant digits (`LatencyCell`), from roll-ups and rows alike: a percentile is
exact below 100 ms and within 5 % above.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Count, F, IntegerField, Sum, Value, When

from gateway.models.completion import Completion
from gateway.models.rollup import LatencyCell
from gateway.selectors.outcomes import ANSWERED, RESPONSE_MS
from gateway.selectors.usage_cells import EVERYTHING, UsageFilter
from gateway.selectors.usage_read import Step, read_plan
from gateway.selectors.usage_rows import step_of, within_any
from gateway.selectors.windows import TimeWindow

LATENCY_DIMENSIONS = ("provider", "model", "route_name", "team_name", "api_key_name", "stream")
_DIGITS_MAX = 10  # of milliseconds: more than a column holds


@dataclass(frozen=True, slots=True)
class Latencies:
    """Percentiles of response times in milliseconds; None without an answer."""

    answers: int
    p50_ms: float | None
    p95_ms: float | None


def latencies(window: TimeWindow, *, where: UsageFilter = EVERYTHING, stream: bool | None = None) -> Latencies:
    """Of plain answers (whole time), of streams (time to first content), or of both. At most five queries."""
    counts: Counter[int] = Counter()
    plan = read_plan([window])
    for hours, steps in ((24, plan.days), (1, plan.hours)):
        if steps:
            counts.update(_cells(hours, steps, where, stream))
    if plan.rows:
        rows = latency_rows(plan.rows, by=("stream",), where=where)
        for _, streamed, bucket_ms, answers in rows:
            if stream is None or stream == streamed:
                counts[bucket_ms] += answers
    return Latencies(counts.total(), percentile(counts, 50), percentile(counts, 95))


def latencies_with_streams(window: TimeWindow, *, where: UsageFilter = EVERYTHING) -> tuple[Latencies, Latencies]:
    """Of all answers, and of the streams among them, from one reading. At most five queries."""
    plan = read_plan([window])
    everything: Counter[int] = Counter()
    streams: Counter[int] = Counter()
    rows = [row[1:] for row in latency_rows(plan.rows, by=("stream",), where=where)] if plan.rows else []
    for hours, steps in ((24, plan.days), (1, plan.hours)):
        if steps:
            cells = LatencyCell.objects.filter(within_any("starts_at", steps), where.of_completions(), hours=hours)
            rows += cells.values_list("stream", "bucket_ms").annotate(of_answers=Sum("answers")).order_by()
    for streamed, bucket_ms, answers in rows:
        everything[bucket_ms] += answers
        if streamed:
            streams[bucket_ms] += answers
    all_of_them, of_streams = (
        Latencies(counts.total(), percentile(counts, 50), percentile(counts, 95)) for counts in (everything, streams)
    )
    return all_of_them, of_streams


def percentile(counts: Counter[int], percent: int) -> float | None:
    """The middle of the bucket below which `percent` of the answers lie (nearest rank)."""
    rank = -(-counts.total() * percent // 100)
    seen = 0
    for bucket_ms in sorted(counts):
        seen += counts[bucket_ms]
        if seen >= rank:
            return bucket_ms + (bucket_width_ms(bucket_ms) - 1) / 2
    return None


def bucket_width_ms(bucket_ms: int) -> int:
    return int(10 ** max(0, len(str(bucket_ms)) - 2))


def latency_rows(steps: Sequence[Step], *, by: Sequence[str], where: UsageFilter) -> Iterable[tuple[Any, ...]]:
    """(number of the window, values of `by`, bucket, answers) of the answers begun within the windows. One query."""
    rows = Completion.objects.filter(within_any("created_at", steps), where.of_completions(), ANSWERED)
    timed = rows.annotate(of_step=step_of("created_at", steps), of_ms=RESPONSE_MS).filter(of_ms__isnull=False)
    grouped = timed.annotate(of_bucket=_bucket()).values("of_step", *by, "of_bucket").annotate(of_answers=Count("pk"))
    return grouped.order_by().values_list("of_step", *by, "of_bucket", "of_answers")


def _bucket() -> Case:
    """The response time cut to two significant digits, in whole numbers, which both databases divide alike."""
    cuts = [When(of_ms__lt=100, then=F("of_ms"))]
    for digits in range(3, _DIGITS_MAX):
        unit = Value(10 ** (digits - 2))
        cuts.append(When(of_ms__lt=10**digits, then=F("of_ms") / unit * unit))
    return Case(*cuts, output_field=IntegerField())


def _cells(hours: int, steps: Sequence[Step], where: UsageFilter, stream: bool | None) -> dict[int, int]:
    cells = LatencyCell.objects.filter(within_any("starts_at", steps), where.of_completions(), hours=hours)
    if stream is not None:
        cells = cells.filter(stream=stream)
    return dict(cells.values_list("bucket_ms").annotate(of_answers=Sum("answers")).order_by())
