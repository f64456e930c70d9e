"""Which configuration files `up` has applied, so that a restart doesn't undo what was edited since."""

from __future__ import annotations

from django.db import models


class AppliedFile(models.Model):
    """One application of one content. The newest row counts."""

    name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    applied_at = models.DateTimeField()

    class Meta:
        db_table = "llmops_applied_file"

    def __str__(self) -> str:
        return self.name
