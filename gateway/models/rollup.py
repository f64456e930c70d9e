"""What pages read instead of a million rows: usage added up by hour and by day (docs/decisions/0009-roll-ups.md).

Cells are sums over the completions that began within them, and nothing else: whatever changes a completion marks its
hour in `UsageHourChanged`, and the hour is added up anew from its rows.
"""

from __future__ import annotations

from django.db import models

from gateway.models.fields import UsdField

ONLY_ROW = 1


class UsageCell(models.Model):
    """Sums over one hour (or one UTC day) for one combination of provider, model, route, team and key.

    Cost, tokens and attempts count where each attempt was made, which is how providers bill; completions and their
    times where they were answered or last tried. What no attempt accounts for (an orphan's reservation) has neither
    provider nor model. What a fire drill touched counts once more in `drilled_…`. Ids are 0 and names "" where there is
    none.
    """

    hours = models.PositiveSmallIntegerField(help_text="length: 1 or 24")
    starts_at = models.DateTimeField(help_text="a full hour, or midnight, in UTC")
    provider = models.CharField(max_length=100)
    model = models.CharField(max_length=200)
    route_id = models.BigIntegerField()
    route_name = models.CharField(max_length=100)
    team_id = models.BigIntegerField()
    team_name = models.CharField(max_length=100)
    api_key_id = models.BigIntegerField()
    api_key_name = models.CharField(max_length=100)

    completions = models.BigIntegerField(default=0)
    answered = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    refused = models.BigIntegerField(default=0)
    cancelled = models.BigIntegerField(default=0)
    fell_back = models.BigIntegerField(default=0)
    fell_back_answered = models.BigIntegerField(default=0)
    response_ms_sum = models.BigIntegerField(default=0)
    responses = models.BigIntegerField(default=0)
    first_content_ms_sum = models.BigIntegerField(default=0)
    first_contents = models.BigIntegerField(default=0)
    cost_usd = UsdField(default=0)
    estimated_usd = UsdField(default=0)
    unknown_usd = UsdField(default=0)
    attempts = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    cached_input_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    drilled_answered = models.BigIntegerField(default=0)
    drilled_failed = models.BigIntegerField(default=0)
    drilled_fell_back = models.BigIntegerField(default=0)
    drilled_fell_back_answered = models.BigIntegerField(default=0)
    drilled_response_ms_sum = models.BigIntegerField(default=0)
    drilled_responses = models.BigIntegerField(default=0)
    cache_hits = models.BigIntegerField(default=0)
    saved_usd = UsdField(default=0)

    class Meta:
        db_table = "llmops_usage_cell"
        indexes = [models.Index(fields=["hours", "starts_at"], name="usage_cell_time")]

    def __str__(self) -> str:
        return f"{self.hours} h from {self.starts_at:%Y-%m-%d %H:%M}"


class LatencyCell(models.Model):
    """How many answers of one cell took how long: counts by response time, to two significant digits.

    `bucket_ms` is the lowest time of its bucket (exact below 100 ms, then 100-109, 110-119, …, 1000-1099, …); streams
    count with their time to first content.
    """

    hours = models.PositiveSmallIntegerField()
    starts_at = models.DateTimeField()
    provider = models.CharField(max_length=100)
    model = models.CharField(max_length=200)
    route_name = models.CharField(max_length=100)
    team_name = models.CharField(max_length=100)
    api_key_name = models.CharField(max_length=100)
    stream = models.BooleanField()
    bucket_ms = models.IntegerField()
    answers = models.BigIntegerField()

    class Meta:
        db_table = "llmops_latency_cell"
        indexes = [models.Index(fields=["hours", "starts_at"], name="latency_cell_time")]

    def __str__(self) -> str:
        return f"{self.answers} in {self.bucket_ms} ms"


class UsageHourChanged(models.Model):
    """An hour whose rows have changed after it may have been added up; written by the ledger with the change.

    `marks` counts the changes: who adds the hour up removes the row only if none came meanwhile.
    """

    starts_at = models.DateTimeField(primary_key=True)
    marks = models.BigIntegerField(default=1)

    class Meta:
        db_table = "llmops_usage_hour_changed"

    def __str__(self) -> str:
        return f"{self.starts_at:%Y-%m-%d %H:00}"


class UsageProgress(models.Model):
    """How far usage has been added up: every hour before `until` is. One row.

    `claimed_by` and `claimed_until` let one process at a time do it.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY_ROW, editable=False)
    until = models.DateTimeField(null=True)
    claimed_by = models.CharField(max_length=40, default="", blank=True)
    claimed_until = models.DateTimeField(null=True)

    class Meta:
        db_table = "llmops_usage_progress"
        constraints = [models.CheckConstraint(condition=models.Q(id=ONLY_ROW), name="usage_progress_one_row")]

    def __str__(self) -> str:
        return f"until {self.until}"
