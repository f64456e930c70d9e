"""`manage.py restore FILE`: make the database what it was at a backup."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from gateway.management.commands.books import books_sentence
from gateway.selectors.books import books_audit
from gateway.services.backup import RestoreFailed, database_restore, unknown_migrations, unreadable_secrets
from gateway.services.cache_purge import CacheAway, cache_purge
from gateway.supervisor.only_one import AlreadyUp, only_one

ACTOR = "manage.py restore"


class Command(BaseCommand):
    help = "Make the database what it was when `manage.py backup` wrote FILE. Stop every gateway and worker first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--replace", action="store_true", help="give up the requests that the database has now")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with only_one(settings.DATA_DIR):
                database_restore(options["file"], replace=options["replace"])
                call_command("migrate", interactive=False, verbosity=0)  # a backup of an older version
        except (AlreadyUp, RestoreFailed) as error:
            raise CommandError(str(error)) from None
        self._forget_answers()
        if unknown := unknown_migrations():
            raise CommandError(
                f"The database is restored, but it is of a newer version: this one doesn't know {', '.join(unknown)}. "
                "Install the version that made the backup before you start."
            )
        books = books_audit()
        self.stdout.write(f"Restored: {books_sentence(books)}")
        problems = [*books.faults, *(f"The secret of {name} can't be read." for name in unreadable_secrets())]
        if problems:
            hint = "Set LLMOPS_ENCRYPTION_KEYS to what they were at the backup, or enter such secrets again."
            raise CommandError("The database is restored, but:\n" + "\n".join([*problems, hint]))
        self.stdout.write("The books agree, and every stored secret can be read.")

    def _forget_answers(self) -> None:
        """Redis keeps answers by routes' numbers, which may be other routes now."""
        try:
            cache_purge(actor=ACTOR)
        except CacheAway as error:
            self.stdout.write(f"{error.message} Until then routes may give answers from before the restore.")
