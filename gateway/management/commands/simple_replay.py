"""`manage.py simple_replay`: are decisions about simple queries what their rules say?"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from gateway.services.simple_replay import decisions_replay

MOST_TOLD = 20


class Command(BaseCommand):
    help = "Makes stored decisions about simple queries again, by the rules they were made by, and compares."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--limit", type=int, default=1_000, help="how many, the newest first (default 1000)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["limit"] < 1:
            raise CommandError("--limit must be at least 1")
        replay = decisions_replay(limit=options["limit"])
        for request_id, problem in replay.different[:MOST_TOLD]:
            self.stdout.write(f"{request_id}: {problem}")
        told = f"{replay.decisions:,} decisions made again, {len(replay.different):,} came out differently"
        if replay.different:
            raise CommandError(told)
        self.stdout.write(told)
