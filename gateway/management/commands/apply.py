"""`manage.py apply FILE`: make the configuration match a file."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gateway.services.apply import configuration_apply
from gateway.services.configuration_file import ConfigurationFileError
from gateway.services.configuration_yaml import MAX_FILE_BYTES


class Command(BaseCommand):
    help = "Make the configuration match FILE (docs/configuration.md). Only the sections in FILE are touched."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="show what would change and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        text = file_text(file)
        try:
            changes = configuration_apply(text, actor=f"apply {file.name}", dry_run=options["dry_run"])
        except ConfigurationFileError as error:
            raise CommandError(f"{file} was not applied:\n{error}") from None
        for change in changes:
            self.stdout.write(str(change))
        self.stdout.write(_summary(len(changes), dry_run=options["dry_run"]))


def file_text(file: Path) -> str:
    """The file's text, read no further than its largest size allows."""
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_FILE_BYTES + 1).decode("utf-8-sig")
    except OSError as error:
        raise CommandError(f"{file} can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is not UTF-8 text (byte {error.start})") from None


def _summary(count: int, *, dry_run: bool) -> str:
    if not count:
        return "no changes"
    changes = "1 change" if count == 1 else f"{count} changes"
    return f"{changes}, not applied (dry run)" if dry_run else f"{changes} applied"
