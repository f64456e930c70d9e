"""How often somebody failed to log in lately, so that passwords can't be guessed by trying."""

from __future__ import annotations

from django.db import models


class LoginFailures(models.Model):
    """A window of attempts. `subject` is the SHA-256 in hex of an account with an address, or of an address alone."""

    subject = models.CharField(max_length=64, primary_key=True)
    attempts = models.PositiveIntegerField(default=0)
    since = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "llmops_login_failures"

    def __str__(self) -> str:
        return f"{self.attempts} since {self.since:%Y-%m-%d %H:%M}"
