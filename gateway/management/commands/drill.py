"""`manage.py drill start|stop|list|report`: fire drills, as the back office and the operators' API have them."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from gateway.engine.drill import DrillFault
from gateway.models import Drill
from gateway.selectors.drill_words import line_words, report_words
from gateway.selectors.drills import drill_line, drill_list, drill_report
from gateway.services.drill_names import drill_start_named
from gateway.services.drills import drill_stop

LISTED = 20


class Command(BaseCommand):
    help = "Practise an outage: inject faults into a share of the requests for a while, and see what agents notice."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        _start_arguments(acts.add_parser("start", help="start a drill; it ends by itself"))
        stop = acts.add_parser("stop", help="stop a drill now")
        stop.add_argument("id", type=int)
        acts.add_parser("list", help=f"the running drills and the last {LISTED}")
        report = acts.add_parser("report", help="what a drill showed; the latest one without an id")
        report.add_argument("id", type=int, nargs="?")

    def handle(self, *args: Any, **options: Any) -> None:
        acts = {"start": self._start, "stop": self._stop, "list": self._list, "report": self._report}
        acts[options["act"]](options)

    def _start(self, options: dict[str, Any]) -> None:
        try:
            drill = drill_start_named(
                provider=options["provider"],
                route=options["route"],
                fault=options["fault"],
                share_percent=options["share"],
                duration_seconds=options["seconds"],
                api_keys=options["key"],
                note=options["note"],
                alerts=options["alerts"],
                actor=_actor(),
            )
        except ValidationError as error:
            raise CommandError(f"No drill was started: {' '.join(error.messages)}") from None
        self.stdout.write(f"started {line_words(drill_line(drill, timezone.now()))}")

    def _stop(self, options: dict[str, Any]) -> None:
        drill = Drill.objects.filter(pk=options["id"]).first()
        if drill is None:
            raise CommandError(f"There is no drill {options['id']}; `drill list` shows them.")
        stopped = drill_stop(drill=drill, actor=_actor())
        self.stdout.write(f"drill {drill.pk} {'is stopped' if stopped else 'was over already'}")

    def _list(self, options: dict[str, Any]) -> None:
        lines = drill_list(now=timezone.now(), limit=LISTED)
        self.stdout.write("\n".join(line_words(line) for line in lines) or "no drill yet")

    def _report(self, options: dict[str, Any]) -> None:
        drill_id = options["id"] or Drill.objects.order_by("-starts_at").values_list("pk", flat=True).first()
        report = drill_report(drill_id=drill_id, now=timezone.now()) if drill_id is not None else None
        if report is None:
            raise CommandError("There is no such drill; `drill list` shows them.")
        self.stdout.write("\n".join(report_words(report)))


def _start_arguments(parser: Any) -> None:
    parser.add_argument("--provider", help="who seems to be broken")
    parser.add_argument("--route", help="only requests of this route; without a provider its first target breaks")
    parser.add_argument("--fault", required=True, choices=[fault.value for fault in DrillFault])
    parser.add_argument("--share", type=int, default=10, metavar="PERCENT", help="of the requests, 1 to 100 (10)")
    parser.add_argument("--seconds", type=int, default=300, help="how long, at most 3600 (300)")
    parser.add_argument("--key", action="append", default=[], help="only requests of this API key; may be repeated")
    parser.add_argument("--note", default="", help="why, for the report")
    parser.add_argument(
        "--alerts", action="store_true", help="let the drill's breaker send real alerts, marked as drill"
    )


def _actor() -> str:
    try:
        return f"command by {getpass.getuser()}"
    except (KeyError, OSError):  # a container's user may have no name
        return "command"
