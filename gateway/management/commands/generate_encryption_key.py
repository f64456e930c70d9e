"""`manage.py generate_encryption_key`: a key for LLMOPS_ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from cryptography.fernet import Fernet
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = (
        "Print a new key for LLMOPS_ENCRYPTION_KEYS. Put it first, before the old ones and separated by a comma: "
        "new secrets are then encrypted with it and old ones stay readable."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(Fernet.generate_key().decode("ascii"))
