"""`manage.py usage completions|attempts`: the ledger of a stretch of time as CSV, without a running gateway."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from gateway.selectors.completions_csv import attempts_csv, completions_csv

WHAT = {"completions": completions_csv, "attempts": attempts_csv}


class Command(BaseCommand):
    help = "Write every completion, or every attempt, of a stretch of time as CSV to standard output."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=sorted(WHAT))
        parser.add_argument("--from", dest="start", type=moment, required=True, help="2026-11-01 or 2026-11-01T08:00Z")
        parser.add_argument("--to", dest="end", type=moment, help="not included; now, unless given")

    def handle(self, *args: Any, **options: Any) -> None:
        start, end = options["start"], options["end"] or datetime.now(UTC)
        if end < start:
            raise CommandError("--from must not be later than --to.")
        for lines in WHAT[options["what"]](start=start, end=end, where=Q()):
            self.stdout.write(lines, ending="")


def moment(text: str) -> datetime:
    """A day or a time in ISO 8601; UTC where no zone is named."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no time such as 2026-11-01 or 2026-11-01T08:00Z") from None
    return given if given.tzinfo else given.replace(tzinfo=UTC)
