"""What was asked, what was tried and what it cost: written by the ledger's writer, read by everybody else.

Configuration is referred to by id without a database constraint and by name as it was then: configuration is archived,
never deleted, and the writer's inserts pay for no look-ups.
"""

from __future__ import annotations

from typing import Any

from django.db import models

from gateway.engine.drill import DrillFault
from gateway.engine.words import AttemptOutcome, Billing, CompletionStatus, FailureKind, Wire
from gateway.models.fields import UsdField

# Few of a day's requests end so, and they are what people look for: an index of their own costs the others nothing.
TROUBLED = (
    CompletionStatus.FAILED.value,
    CompletionStatus.CANCELLED.value,
    CompletionStatus.UNKNOWN.value,
    CompletionStatus.REFUSED.value,
)


def _choices(enum: type) -> list[tuple[str, str]]:
    return [(word.value, word.value.replace("_", " ")) for word in enum]  # type: ignore[attr-defined]


# What a provider says of our key, our account or the models we name: nothing but operations can mend it.
ACCOUNT_FAILURES = tuple(
    kind.value for kind in (FailureKind.REJECTED_US, FailureKind.MODEL_NOT_FOUND, FailureKind.QUOTA_EXHAUSTED)
)


class DecidedOnTier(models.Func):
    """Of a routing decision: whether the cheap model for simple queries had a say.

    Its key stands in the text of the query, since SQLite takes an index of some rows only where it reads the same text.
    """

    template = "(JSON_TYPE(%(expressions)s, '$.simple') IS NOT NULL)"
    output_field = models.BooleanField()

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="jsonb_exists(%(expressions)s, 'simple')", **extra)


class PromptCached(models.Func):
    """Of a completion's two counts: whether a provider read from its cache or wrote to it. As text, for SQLite too."""

    template = "(%(expressions)s > 0)"
    arg_joiner = " + "
    output_field = models.BooleanField()


class Conversation(models.Model):
    """Totals of one conversation; its id is the client's and belongs to the team of the key that used it."""

    team_id = models.BigIntegerField(default=0, help_text="0: the key belongs to no team")
    external_id = models.CharField("conversation", max_length=128)
    completions = models.PositiveIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    cost_usd = UsdField("cost (USD)", default=0)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        db_table = "llmops_conversation"
        constraints = [
            models.UniqueConstraint(fields=["team_id", "external_id"], name="conversation_of_team"),
        ]
        indexes = [
            models.Index(fields=["-last_seen_at", "-id"], name="conversation_recent"),
            models.Index(fields=["team_id", "-last_seen_at", "-id"], name="conversation_recent_of_team"),
        ]

    def __str__(self) -> str:
        return self.external_id


class Completion(models.Model):
    """One client call: intent, outcome, cost."""

    id = models.CharField("request id", primary_key=True, max_length=40)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(help_text="after this an unsettled intent counts as orphaned")
    holder = models.CharField(max_length=64, default="", help_text="the process that opened it, by its spool's file")
    status = models.CharField(max_length=12, choices=_choices(CompletionStatus))
    http_status = models.PositiveSmallIntegerField(null=True)
    error_code = models.CharField(max_length=64, default="", blank=True)
    error_message = models.TextField(default="", blank=True)
    finish_reason = models.CharField(max_length=24, default="", blank=True)
    surface = models.CharField(max_length=12, choices=_choices(Wire))
    operation = models.CharField(max_length=16)
    stream = models.BooleanField()
    requested_model = models.CharField(max_length=200)
    route_id = models.BigIntegerField(null=True)
    route_name = models.CharField("route", max_length=100)
    api_key_id = models.BigIntegerField(null=True)
    api_key_name = models.CharField("API key", max_length=100)
    team_id = models.BigIntegerField(default=0)
    team_name = models.CharField("team", max_length=100, default="", blank=True)
    conversation = models.CharField(max_length=128)
    provider = models.CharField(max_length=100, default="", blank=True)
    model = models.CharField(max_length=200, default="", blank=True)
    attempt_count = models.PositiveSmallIntegerField("attempts", default=0)
    fell_back = models.BooleanField("fallback", default=False)
    cache = models.CharField(max_length=8, default="bypass")
    input_tokens = models.PositiveBigIntegerField(default=0)
    cached_input_tokens = models.PositiveBigIntegerField(default=0)
    cache_write_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0)
    reserved_usd = UsdField("reserved (USD)", default=0)
    cost_usd = UsdField("cost (USD)", default=0)
    saved_usd = UsdField("saved (USD)", default=0, help_text="of a cache hit: what the answer had cost to make")
    billing = models.CharField(max_length=12, choices=_choices(Billing), default=Billing.NONE.value)
    latency_ms = models.PositiveIntegerField(null=True)
    first_content_ms = models.PositiveIntegerField(null=True)
    decision = models.JSONField(default=dict, help_text="the routing decision with its reasons")
    dropped_params = models.JSONField(default=list)
    budget_checks = models.JSONField(
        null=True, help_text="what each budget said when it began, amounts in pico-dollars; null where none was asked"
    )
    drill_id = models.BigIntegerField("fire drill", null=True, help_text="the first drill that touched it")

    class Meta:
        db_table = "llmops_completion"
        indexes = [
            models.Index(fields=["-created_at"], name="completion_recent"),
            models.Index(fields=["team_id", "conversation", "created_at"], name="completion_conversation"),
            models.Index(
                fields=["lease_until"],
                name="completion_unsettled",
                condition=models.Q(status=CompletionStatus.PENDING.value),
            ),
            models.Index(
                fields=["finished_at"],
                name="completion_budget_refused",
                condition=models.Q(error_code="budget_exceeded", status=CompletionStatus.REFUSED.value),
            ),
            models.Index(fields=["-created_at"], name="completion_troubled", condition=models.Q(status__in=TROUBLED)),
            models.Index(fields=["-created_at"], name="completion_fell_back", condition=models.Q(fell_back=True)),
            models.Index(
                fields=["-created_at"],
                name="completion_decided",
                condition=models.Q(DecidedOnTier(models.F("decision"))),
            ),
            models.Index(
                fields=["-created_at"],
                name="completion_cached",
                condition=models.Q(PromptCached(models.F("cached_input_tokens"), models.F("cache_write_tokens"))),
            ),
        ]

    def __str__(self) -> str:
        return self.id


class Attempt(models.Model):
    """One call to one target, or why it was left out."""

    completion = models.ForeignKey(
        Completion, models.CASCADE, db_constraint=False, related_name="attempts", db_index=False
    )
    number = models.PositiveSmallIntegerField()
    provider = models.CharField(max_length=100)
    model = models.CharField(max_length=200)
    target_index = models.PositiveSmallIntegerField()
    retry = models.PositiveSmallIntegerField(default=0)
    outcome = models.CharField(max_length=12, choices=_choices(AttemptOutcome))
    reason = models.CharField(max_length=300)
    failure = models.CharField(max_length=24, choices=_choices(FailureKind), default="", blank=True)
    status = models.PositiveSmallIntegerField(null=True)
    message = models.TextField(default="", blank=True)
    retry_after_seconds = models.FloatField(null=True)
    probe = models.BooleanField(default=False)
    upstream_id = models.CharField(max_length=200, default="", blank=True)
    started_at = models.DateTimeField()
    latency_ms = models.PositiveIntegerField(default=0)
    first_content_ms = models.PositiveIntegerField(null=True)
    input_tokens = models.PositiveBigIntegerField(default=0)
    cached_input_tokens = models.PositiveBigIntegerField(default=0)
    cache_write_tokens = models.PositiveBigIntegerField(default=0)
    cache_write_1h_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0)
    web_searches = models.PositiveIntegerField(default=0, help_text="searches that the provider ran and charges for")
    cost_usd = UsdField("cost (USD)", default=0)
    billing = models.CharField(max_length=12, choices=_choices(Billing), default=Billing.NONE.value)
    price_id = models.BigIntegerField(null=True, help_text="the price version it was charged at")
    drill_id = models.BigIntegerField("fire drill", null=True)
    fault = models.CharField(
        "injected fault",
        max_length=24,
        choices=_choices(DrillFault),
        default="",
        blank=True,
        help_text="what the drill did to it; empty where the drill's breaker let nothing be sent",
    )

    class Meta:
        db_table = "llmops_attempt"
        constraints = [models.UniqueConstraint(fields=["completion", "number"], name="attempt_number")]
        indexes = [
            models.Index(fields=["drill_id"], name="attempt_drilled", condition=models.Q(drill_id__isnull=False)),
            models.Index(fields=["id"], name="attempt_account", condition=models.Q(failure__in=ACCOUNT_FAILURES)),
            # Only what failed pays for it.
            models.Index(
                fields=["provider", "-started_at", "-number"],
                name="attempt_failed",
                condition=models.Q(outcome=AttemptOutcome.FAILED.value),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.completion_id} #{self.number}"


class Fallback(models.Model):
    """One step from a target to the next one."""

    completion = models.ForeignKey(
        Completion, models.CASCADE, db_constraint=False, related_name="fallbacks", db_index=False
    )
    number = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField()
    from_target = models.CharField(max_length=301)
    to_target = models.CharField(max_length=301)
    reason = models.TextField()
    after_ms = models.PositiveIntegerField()
    extra_cost_usd = UsdField("extra cost (USD)", default=0)

    class Meta:
        db_table = "llmops_fallback"
        constraints = [models.UniqueConstraint(fields=["completion", "number"], name="fallback_number")]
        indexes = [models.Index(fields=["-created_at"], name="fallback_recent")]

    def __str__(self) -> str:
        return f"{self.from_target} → {self.to_target}"
