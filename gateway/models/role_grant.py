"""What the groups that come with the product were handed, so that nothing is handed out a second time."""

from __future__ import annotations

from django.db import models


class RoleGrant(models.Model):
    """One permission that one of our groups was given, whether or not somebody took it away since."""

    role = models.CharField(max_length=30)
    app_label = models.CharField(max_length=100)
    codename = models.CharField(max_length=100)

    class Meta:
        db_table = "llmops_role_grant"
        constraints = [models.UniqueConstraint(fields=["role", "app_label", "codename"], name="role_grant_once")]

    def __str__(self) -> str:
        return f"{self.role}: {self.app_label}.{self.codename}"
