"""The configuration's version, which every process watches, and who changed what."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

ONLY_ROW = 1


class ConfigurationVersion(models.Model):
    """A number that moves in the transaction of every change. One row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY_ROW, editable=False)
    number = models.BigIntegerField(default=0)

    class Meta:
        db_table = "llmops_configuration_version"
        constraints = [models.CheckConstraint(condition=Q(id=ONLY_ROW), name="configuration_version_one_row")]

    def __str__(self) -> str:
        return str(self.number)


class ConfigurationChange(models.Model):
    """One thing that was created, changed or archived. `before` and `after` never hold a secret."""

    at = models.DateTimeField()
    actor = models.CharField("who", max_length=150)
    action = models.CharField(max_length=10)
    section = models.CharField(max_length=30)
    name = models.CharField(max_length=310)
    before = models.TextField(default="", blank=True)
    after = models.TextField(default="", blank=True)

    class Meta:
        db_table = "llmops_configuration_change"
        ordering = ["-pk"]
        verbose_name = "change"
        indexes = [models.Index(fields=["section", "name"], name="configuration_change_subject")]

    def __str__(self) -> str:
        return f"{self.section} {self.name} {self.action}"
