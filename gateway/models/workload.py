"""A row of the table of workloads: which known requests are simple, and which are not."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from gateway.engine.tier import Tier
from gateway.models.base import LABEL, ConfigurationRow, one_of, unique_among_alive
from gateway.models.team import ApiKey, Team

TAG = RegexValidator(re.compile(r"^[^=\x00-\x1f\x7f]+=[^\x00-\x1f\x7f]*\Z"), "Must be written like name=value.")
MAX_TAG_CHARACTERS = 200
FINGERPRINT = RegexValidator(
    re.compile(r"^[0-9a-f]{16}\Z"),
    "Must be the 16 hexadecimal digits that a request's page shows as the fingerprint of its system prompt.",
)
NO_CONDITION = "give at least one condition: an API key, a team, a tag or a system prompt"


class Workload(ConfigurationRow):
    """Holds for requests that meet all of its conditions; an empty one is met by every request."""

    name = models.CharField(max_length=100, validators=[LABEL])
    tier = models.CharField(
        max_length=8,
        choices=[(Tier.SIMPLE.value, "simple: the cheap model will do"), (Tier.COMPLEX.value, "complex: the strong")],
        help_text="Tools, images, documents, structured output, long input and later turns stay with the strong model.",
    )
    api_key = models.ForeignKey(
        ApiKey, models.PROTECT, null=True, blank=True, related_name="workloads", verbose_name="API key"
    )
    team = models.ForeignKey(Team, models.PROTECT, null=True, blank=True, related_name="workloads")
    tag = models.CharField(
        max_length=MAX_TAG_CHARACTERS,
        default="",
        blank=True,
        validators=[TAG],
        help_text="What the request's metadata must hold, such as task=translate.",
    )
    system_prompt = models.CharField(
        "system prompt's fingerprint",
        max_length=16,
        default="",
        blank=True,
        validators=[FINGERPRINT],
        help_text="16 digits, as told on the page of a request with that system prompt.",
    )

    class Meta:
        db_table = "llmops_workload"
        ordering = ["name"]
        constraints = [
            unique_among_alive("workload_name_in_use", "name", label="workload"),
            one_of("tier", Tier, "workload_tier"),
            models.CheckConstraint(
                condition=~Q(api_key=None, team=None, tag="", system_prompt=""),
                name="workload_has_condition",
                violation_error_message=f"{NO_CONDITION.capitalize()}.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.archived:
            return
        conditions = {"api_key": self.api_key_id, "team": self.team_id, "tag": self.tag}
        twin = Workload.objects.alive().filter(**conditions, system_prompt=self.system_prompt).exclude(pk=self.pk)
        if (other := twin.first()) is not None:
            raise ValidationError(f"The workload {other.name} has the same conditions.")
