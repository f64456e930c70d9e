"""A sign of life of what runs in the background."""

from __future__ import annotations

from django.db import models

WORKER = "worker"


class TaskSign(models.Model):
    """When a task last ran. One row per kind of background process."""

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()

    class Meta:
        db_table = "llmops_task_sign"

    def __str__(self) -> str:
        return f"{self.name} {self.at}"
