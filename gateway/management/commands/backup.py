"""`manage.py backup FILE`: a copy of the whole database, while everything runs."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from gateway.selectors.ledger_spool import ledger_spool_state
from gateway.services.backup import BackupFailed, database_backup


class Command(BaseCommand):
    help = "Write the database to FILE while everything runs. The encryption keys are not in it: keep them elsewhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        try:
            size = database_backup(file)
        except BackupFailed as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{file}: {size} bytes. Without LLMOPS_ENCRYPTION_KEYS its secrets can't be read.")
        if waiting := ledger_spool_state().records:
            self.stdout.write(f"{waiting} records still wait in {settings.LLMOPS_SPOOL_FOLDER} and are not in it.")
