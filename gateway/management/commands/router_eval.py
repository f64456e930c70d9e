"""`manage.py router_eval FILE…`: how the rule scorer does on graded public data, with random routing beside it."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser

from gateway.engine.errors import InvalidRequest
from gateway.services.router_eval import Evaluation, evaluate, graded_query

STRONG, WEAK = "gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1"


class Command(BaseCommand):
    help = (
        "Evaluate the scorer for simple queries on JSON lines with `messages` and `scores` (by model); .gz is read too."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument("--strong", default=STRONG, help="the strong model's name in `scores`")
        parser.add_argument("--weak", default=WEAK, help="the weak model's name in `scores`")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write("data set, queries, weak mean, strong mean, APGR (random 0.500), CPT(50 %) (random 50 %)")
        for path in options["files"]:
            try:
                rows = [graded_query(record, strong=options["strong"], weak=options["weak"]) for record in _read(path)]
            except (OSError, ValueError, KeyError, TypeError, InvalidRequest) as error:
                raise CommandError(f"{path} can't be evaluated: {type(error).__name__}: {error}") from error
            self.stdout.write(_line(path, evaluate(rows)))


def _read(path: Path) -> Iterator[dict[str, Any]]:
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    return (orjson.loads(line) for line in text.splitlines() if line.strip())


def _line(path: Path, found: Evaluation) -> str:
    means = f"{path.name}, {found.queries}, {found.weak_mean:.3f}, {found.strong_mean:.3f}"
    if found.apgr is None or found.cpt50 is None:
        return f"{means}, the models don't differ"
    return f"{means}, {found.apgr:.3f}, {found.cpt50:.1%}"
