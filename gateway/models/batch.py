"""Batches: many requests whose answers may take a day, their files, and their parts at the providers.

Contents (files, requests, answers) are encrypted. Like the ledger's rows these refer to configuration by id without a
database constraint, and by name as it was.
"""

from __future__ import annotations

from django.db import models

from gateway.engine.batch import BatchState, JobState, LineOutcome, LineState
from gateway.engine.words import Operation, Wire
from gateway.models.fields import UsdField


def _choices(enum: type) -> list[tuple[str, str]]:
    return [(word.value, word.value.replace("_", " ")) for word in enum]  # type: ignore[attr-defined]


class BatchFile(models.Model):
    """A file that a client sent, or the results of a batch, which are made of its lines whenever they are read."""

    id = models.CharField(max_length=48, primary_key=True)
    team_id = models.BigIntegerField(default=0, help_text="0: the key belongs to no team")
    api_key_id = models.BigIntegerField()
    filename = models.CharField(max_length=200)
    purpose = models.CharField(max_length=24)
    size_bytes = models.PositiveBigIntegerField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    batch_id = models.CharField(max_length=48, default="", blank=True, help_text="whose results it holds")
    listed = models.BooleanField(default=True, help_text="false for what came in the body of a message batch")

    class Meta:
        db_table = "llmops_batch_file"
        indexes = [models.Index(fields=["team_id", "-created_at"], name="batch_file_of_team")]

    def __str__(self) -> str:
        return self.id


class BatchFileChunk(models.Model):
    """A piece of a file's content, encrypted; `number` counts from 0."""

    file = models.ForeignKey(BatchFile, models.CASCADE, related_name="chunks", db_index=False)
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        db_table = "llmops_batch_file_chunk"
        constraints = [models.UniqueConstraint(fields=["file", "number"], name="batch_file_chunk_number")]

    def __str__(self) -> str:
        return f"{self.file_id} #{self.number}"


class Batch(models.Model):
    """What a client asked for in one go. `lease_until` and `holder` say who is working at it."""

    id = models.CharField(max_length=48, primary_key=True)
    wire = models.CharField(max_length=12, choices=_choices(Wire))
    operation = models.CharField(max_length=16, choices=_choices(Operation))
    team_id = models.BigIntegerField(default=0)
    team_name = models.CharField("team", max_length=100, default="", blank=True)
    api_key_id = models.BigIntegerField()
    api_key_name = models.CharField("API key", max_length=100)
    state = models.CharField(max_length=12, choices=_choices(BatchState))
    endpoint = models.CharField(max_length=40, default="", blank=True)
    input_file_id = models.CharField(max_length=48)
    output_file_id = models.CharField(max_length=48, default="", blank=True)
    error_file_id = models.CharField(max_length=48, default="", blank=True)
    metadata = models.JSONField(null=True)
    errors = models.JSONField(default=list)
    line_count = models.PositiveIntegerField("lines", default=0)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    in_progress_at = models.DateTimeField(null=True)
    cancelling_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField()
    holder = models.CharField(max_length=32, default="", blank=True)

    class Meta:
        db_table = "llmops_batch"
        verbose_name_plural = "batches"
        indexes = [
            models.Index(fields=["team_id", "wire", "-created_at"], name="batch_of_team"),
            models.Index(fields=["created_at"], name="batch_open", condition=models.Q(ended_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return self.id


class BatchJob(models.Model):
    """One batch at one provider. `token` marks it there, so that it can be found again after a crash."""

    batch = models.ForeignKey(Batch, models.CASCADE, related_name="jobs")
    provider = models.CharField(max_length=100)
    model = models.CharField(max_length=200)
    token = models.CharField(max_length=40, unique=True)
    state = models.CharField(max_length=12, choices=_choices(JobState))
    upstream_id = models.CharField(max_length=100, default="", blank=True, db_index=True)
    asked_at = models.DateTimeField(null=True, help_text="when the provider was last asked to make it")
    failing_since = models.DateTimeField(null=True)
    cancel_sent = models.BooleanField(default=False)
    message = models.CharField(max_length=300, default="", blank=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "llmops_batch_job"

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class BatchLine(models.Model):
    """One request and its one result. `number` is its line in the input file, counted from 1.

    `completion_id` is its completion in the ledger, `alone_id` that of its last try by itself. `result` is the answer's
    or error's body in the caller's wire, encrypted.
    """

    batch = models.ForeignKey(Batch, models.CASCADE, related_name="lines", db_index=False)
    number = models.PositiveIntegerField()
    custom_id = models.CharField(max_length=512)
    state = models.CharField(max_length=8, choices=_choices(LineState))
    outcome = models.CharField(max_length=10, choices=_choices(LineOutcome), default="", blank=True)
    job = models.ForeignKey(BatchJob, models.SET_NULL, null=True, related_name="lines")
    completion_id = models.CharField(max_length=40)
    alone_id = models.CharField(max_length=40, default="", blank=True)
    alone_tries = models.PositiveSmallIntegerField(default=0)
    provider = models.CharField(max_length=100, default="", blank=True)
    model = models.CharField(max_length=200, default="", blank=True)
    bounded = models.BooleanField(default=False, help_text="a blocking budget applies: an output limit is sent")
    reserved_usd = UsdField(default=0)
    cost_usd = UsdField("cost (USD)", default=0)
    reserved_at = models.DateTimeField(null=True)
    http_status = models.PositiveSmallIntegerField(null=True)
    size_bytes = models.PositiveIntegerField(default=0)
    request = models.BinaryField()
    result = models.BinaryField(default=b"")

    class Meta:
        db_table = "llmops_batch_line"
        constraints = [models.UniqueConstraint(fields=["batch", "number"], name="batch_line_number")]
        indexes = [models.Index(fields=["batch", "state", "number"], name="batch_line_state")]

    def __str__(self) -> str:
        return f"{self.batch_id} line {self.number}"
