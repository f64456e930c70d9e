"""`manage.py prices seed`: bring the price book up to date with the installed price list."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from gateway.selectors.prices import models_in_use
from gateway.services.price_seed import prices_seed


class Command(BaseCommand):
    help = "Keep the price book: `seed` adds what the installed genai-prices package knows. Nothing is downloaded."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        seed = acts.add_parser("seed", help="add missing prices and new versions of changed ones")
        seed.add_argument("--dry-run", action="store_true", help="show what would change and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        seeded = prices_seed(models_in_use(), dry_run=options["dry_run"])
        for title in seeded.added:
            self.stdout.write(f"+ {title}")
        for title in seeded.changed:
            self.stdout.write(f"~ {title}")
        if not seeded.added and not seeded.changed:
            self.stdout.write("no changes")
