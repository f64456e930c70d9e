"""Who uses the gateway: teams and the keys of their agents."""

from __future__ import annotations

from datetime import datetime

from django.db import models

from gateway import bounds
from gateway.models.base import LABEL, ConfigurationRow, inside, one_of, unique_among_alive, within
from gateway.models.route import Route
from gateway.models.words import KeyRole, choices


class Team(ConfigurationRow):
    name = models.CharField(max_length=100, validators=[LABEL])

    class Meta:
        db_table = "llmops_team"
        ordering = ["name"]
        constraints = [unique_among_alive("team_name_in_use", "name", label="team")]

    def __str__(self) -> str:
        return self.name


class ApiKey(ConfigurationRow):
    """A key that agents or operators send. Only its SHA-256 is kept: the keys are long random text."""

    name = models.CharField(max_length=100, validators=[LABEL], help_text="What reports and budgets call it.")
    hash = models.CharField(max_length=64, editable=False)
    prefix = models.CharField(max_length=24, default="", editable=False, help_text="How the key begins.")
    team = models.ForeignKey(Team, models.PROTECT, null=True, blank=True, related_name="api_keys")
    role = models.CharField(
        max_length=10,
        choices=choices(KeyRole),
        default=KeyRole.AGENT.value,
        help_text="Agents ask for completions; operators may also use the operators' API.",
    )
    all_routes = models.BooleanField(default=True, help_text="May use every route. Off: only the routes below.")
    routes = models.ManyToManyField(Route, blank=True, related_name="api_keys", help_text="The routes it may use.")
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Refused from then on. Empty: never expires.")
    disabled = models.BooleanField(default=False, help_text="Refused while this is on.")
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=inside(bounds.RATE_PER_MINUTE), help_text="Empty: no limit."
    )
    tokens_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=inside(bounds.RATE_PER_MINUTE), help_text="Empty: no limit."
    )
    max_parallel = models.PositiveIntegerField(
        null=True, blank=True, validators=inside(bounds.PARALLEL), help_text="Requests at a time. Empty: no limit."
    )
    direct_models = models.BooleanField(
        default=False,
        help_text="May also name provider/model instead of a route, for every model that has a price (or is free).",
    )
    old_hash = models.CharField(max_length=64, default="", blank=True, editable=False)
    old_prefix = models.CharField(max_length=24, default="", blank=True, editable=False)
    overlap_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Until when the key from before the last rotation is taken."
    )
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "llmops_api_key"
        verbose_name = "API key"
        ordering = ["name"]
        constraints = [
            unique_among_alive("api_key_name_in_use", "name", label="API key"),
            unique_among_alive("api_key_hash_in_use", "hash", label="API key"),
            one_of("role", KeyRole, "api_key_role"),
            within(
                "api_key_numbers",
                requests_per_minute=bounds.RATE_PER_MINUTE,
                tokens_per_minute=bounds.RATE_PER_MINUTE,
                max_parallel=bounds.PARALLEL,
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def old_expires_at(self) -> datetime | None:
        """When the key from before the last rotation ends: with its overlap or with the key itself."""
        return min((at for at in (self.overlap_until, self.expires_at) if at is not None), default=None)
