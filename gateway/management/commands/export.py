"""`manage.py export [FILE]`: write the configuration as a file that `apply` reads."""

from __future__ import annotations

import os
import secrets
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gateway.services.export import configuration_export


class Command(BaseCommand):
    help = "Write the configuration to FILE, or to standard output. Secrets are encrypted, keys are hashes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, nargs="?")

    def handle(self, *args: Any, **options: Any) -> None:
        text = configuration_export()
        file: Path | None = options["file"]
        if file is None:
            self.stdout.write(text, ending="")
            return
        try:
            _write_whole(file, text)
        except OSError as error:
            raise CommandError(f"{file} can't be written: {error.strerror}") from None
        self.stderr.write(f"written to {file}")


def _write_whole(file: Path, text: str) -> None:
    """All or nothing, readable by its owner only."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
        draft.replace(file)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
