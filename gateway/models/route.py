"""A route: what agents send as `model`, and the targets that answer it, in order."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from gateway import bounds
from gateway.models.base import (
    MODEL_NAME,
    ROUTE_NAME,
    ConfigurationRow,
    inside,
    matches,
    one_of,
    require_unique_text,
    unique_among_alive,
    within,
)
from gateway.models.provider import Provider
from gateway.models.words import CacheScope, StreamRecovery, choices

SIMPLE_MODE = RegexValidator(
    re.compile(r"^(off|shadow|on|(100|[1-9]?[0-9])%)\Z"), "Must be off, shadow, on or a percentage such as 25%%."
)
MAX_ALIASES = 100
TARGET_OVERRIDES = tuple(bounds.OF_AN_ATTEMPT)


class Route(ConfigurationRow):
    """An ordered list of targets and the rules for using them."""

    name = models.CharField(max_length=100, validators=[ROUTE_NAME], help_text="What agents send as `model`.")
    aliases = models.JSONField(
        default=list,
        blank=True,
        help_text="Other names agents may send for the same route; no two routes share a name.",
    )
    simple_mode = models.CharField(
        max_length=8,
        default="shadow",
        validators=[SIMPLE_MODE],
        help_text="Who gets the cheaper model for simple queries: off, shadow (decide but don't use), 25%, on.",
    )
    deadline_seconds = models.FloatField(
        default=90,
        validators=inside(bounds.TIMEOUT_SECONDS),
        help_text="Until the answer (a stream: its first content), all attempts together.",
    )
    max_output_tokens = models.PositiveIntegerField(
        default=4096,
        validators=inside(bounds.OUTPUT_TOKENS),
        help_text="The longest answer where the agent sets no limit.",
    )
    stream_recovery = models.CharField(
        max_length=8,
        choices=choices(StreamRecovery),
        default=StreamRecovery.CONTINUE.value,
        help_text="When a stream breaks after its first content: let the next target go on, end with an error, "
        "or hold the answer back until it is whole.",
    )
    cache_enabled = models.BooleanField(default=False, help_text="Answer repeated requests from the cache.")
    cache_ttl_seconds = models.PositiveIntegerField(
        default=300, validators=inside(bounds.CACHE_TTL_SECONDS), help_text="How long a cached answer is good."
    )
    cache_scope = models.CharField(
        max_length=8,
        choices=choices(CacheScope),
        default=CacheScope.TEAM.value,
        help_text="Who shares cached answers: a team's keys, or everybody who uses the route.",
    )
    cache_prompt_prefix = models.BooleanField(
        "mark prompts for Anthropic's cache",
        default=False,
        help_text="System prompt and tools are marked for the provider's own prompt cache, where agents mark nothing: "
        "written once for a quarter more, then read at a tenth. Pays for long prompts used often.",
    )
    store_content = models.BooleanField(default=False, help_text="Keep what was asked and answered, encrypted.")
    store_content_days = models.PositiveSmallIntegerField(
        default=7,
        validators=inside(bounds.CONTENT_DAYS),
        help_text="Days after which kept content is deleted; what is kept already stays until the day it was given.",
    )

    class Meta:
        db_table = "llmops_route"
        ordering = ["name"]
        constraints = [
            unique_among_alive("route_name_in_use", "name", label="route"),
            one_of("stream_recovery", StreamRecovery, "route_stream_recovery"),
            one_of("cache_scope", CacheScope, "route_cache_scope"),
            within(
                "route_numbers",
                deadline_seconds=bounds.TIMEOUT_SECONDS,
                max_output_tokens=bounds.OUTPUT_TOKENS,
                cache_ttl_seconds=bounds.CACHE_TTL_SECONDS,
            ),
            within("route_store_content_days", store_content_days=bounds.CONTENT_DAYS),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        problem = aliases_problem(self.aliases)
        if problem:
            raise ValidationError({"aliases": problem})
        require_unique_text([self.name, *self.aliases], "aliases")
        if self.archived:
            return
        others = type(self).objects.alive().exclude(pk=self.pk).values_list("name", "aliases")
        for name, aliases in others:
            taken = sorted({self.name, *self.aliases} & {name, *aliases})
            if taken:
                field = "name" if self.name in taken else "aliases"
                raise ValidationError({field: f"{', '.join(taken)} already leads to the route {name}."})


class Target(models.Model):
    """One model at one provider, at its place in a route. Empty time-outs and retries are the provider's."""

    route = models.ForeignKey(Route, models.CASCADE, related_name="targets")
    position = models.PositiveSmallIntegerField(default=0, help_text="Tried in this order.")
    simple = models.BooleanField(default=False, help_text="The cheaper model for simple queries; outside the order.")
    provider = models.ForeignKey(Provider, models.PROTECT, related_name="targets")
    model = models.CharField(max_length=200, validators=[MODEL_NAME], help_text="The model's name at the provider.")
    attempt_timeout_seconds = models.FloatField(null=True, blank=True, validators=inside(bounds.TIMEOUT_SECONDS))
    connect_timeout_seconds = models.FloatField(null=True, blank=True, validators=inside(bounds.TIMEOUT_SECONDS))
    first_token_timeout_seconds = models.FloatField(null=True, blank=True, validators=inside(bounds.TIMEOUT_SECONDS))
    stall_timeout_seconds = models.FloatField(null=True, blank=True, validators=inside(bounds.TIMEOUT_SECONDS))
    stream_max_seconds = models.FloatField(null=True, blank=True, validators=inside(bounds.STREAM_MAX_SECONDS))
    retries = models.PositiveSmallIntegerField(null=True, blank=True, validators=inside(bounds.RETRIES))
    backoff_seconds = models.FloatField(null=True, blank=True, validators=inside(bounds.WAIT_SECONDS))
    backoff_max_seconds = models.FloatField(null=True, blank=True, validators=inside(bounds.WAIT_SECONDS))
    retry_after_max_seconds = models.FloatField(null=True, blank=True, validators=inside(bounds.WAIT_SECONDS))

    class Meta:
        db_table = "llmops_target"
        ordering = ["simple", "position", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["route"],
                condition=Q(simple=True),
                name="target_one_simple",
                violation_error_message="A route has at most one simple target.",
            ),
            within("target_numbers", **bounds.OF_AN_ATTEMPT),
        ]

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


def aliases_problem(aliases: Any) -> str | None:
    """What is wrong with a route's aliases, as a sentence, or None."""
    if not isinstance(aliases, list) or len(aliases) > MAX_ALIASES:
        return f"must be a list of at most {MAX_ALIASES} names"
    for alias in aliases:
        if not isinstance(alias, str) or len(alias) > 100 or not matches(ROUTE_NAME, alias):
            return f"{str(alias)[:40]!r} can't be an alias: use letters, digits and . _ : / @ -"
    return None
