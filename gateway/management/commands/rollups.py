"""`manage.py rollups`: bring the sums by hour and day up to date, or make them anew from rows."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from gateway.services.rollups import rollups_rebuild, rollups_refresh


class Command(BaseCommand):
    help = "Add up usage by hour and day. The worker does it by itself every 30 seconds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--rebuild", action="store_true", help="mark every hour that still has its rows, and add it up anew"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["rebuild"]:
            self.stdout.write(f"marked {rollups_rebuild()} hours")
        total = 0
        while hours := rollups_refresh(now=timezone.now()):
            total += hours
        self.stdout.write(f"added up {total} hours")
