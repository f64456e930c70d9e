"""`manage.py key create|rotate|disable|enable|list`: API keys from the command line."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from gateway.models import ApiKey, Route, Team
from gateway.models.words import KeyRole
from gateway.services.keys import DEFAULT_OVERLAP, NO_OVERLAP, key_create, key_disable, key_rotate

ACTOR = "manage.py key"


class Command(BaseCommand):
    help = "API keys: make, rotate, disable, enable and list them. A key's text is printed once and never stored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        create = acts.add_parser("create", help="make a key and print it")
        create.add_argument("name", help="what reports and budgets call it")
        create.add_argument("--team", help="the name of its team")
        create.add_argument("--role", choices=[role.value for role in KeyRole], default=KeyRole.AGENT.value)
        create.add_argument("--route", action="append", metavar="NAME", help="a route it may use; without: all")
        create.add_argument("--expires-at", type=_moment, metavar="TIME", help="such as 2027-01-31T00:00:00Z")
        for limit in ("requests-per-minute", "tokens-per-minute", "max-parallel"):
            create.add_argument(f"--{limit}", type=int, metavar="N")
        create.add_argument("--direct-models", action="store_true", help="may name provider/model instead of a route")
        rotate = acts.add_parser(
            "rotate", help="make a new text for a key and print it; the old one is taken for a day"
        )
        rotate.add_argument("name")
        rotate.add_argument("--now", action="store_true", help="refuse the old one at once")
        for act, what in (("disable", "refuse a key everywhere, within two seconds"), ("enable", "take it again")):
            acts.add_parser(act, help=what).add_argument("name")
        acts.add_parser("list", help="every key in use")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['act']}")(options)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None

    def _create(self, options: dict[str, Any]) -> None:
        fields = ("role", "expires_at", "requests_per_minute", "tokens_per_minute", "max_parallel", "direct_models")
        _, plain = key_create(
            name=options["name"],
            actor=ACTOR,
            team=_named(Team, options["team"]) if options["team"] else None,
            routes=[_named(Route, name) for name in options["route"]] if options["route"] else None,
            **{field: options[field] for field in fields},
        )
        self.stdout.write(plain)

    def _rotate(self, options: dict[str, Any]) -> None:
        overlap = NO_OVERLAP if options["now"] else DEFAULT_OVERLAP
        self.stdout.write(key_rotate(key=_named(ApiKey, options["name"]), actor=ACTOR, overlap=overlap))

    def _disable(self, options: dict[str, Any]) -> None:
        key_disable(key=_named(ApiKey, options["name"]), actor=ACTOR)
        self.stdout.write(f"{options['name']} is disabled")

    def _enable(self, options: dict[str, Any]) -> None:
        key_disable(key=_named(ApiKey, options["name"]), actor=ACTOR, disabled=False)
        self.stdout.write(f"{options['name']} is enabled")

    def _list(self, options: dict[str, Any]) -> None:
        for key in ApiKey.objects.alive().select_related("team"):
            team = key.team.name if key.team else "-"
            used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never"
            state = "disabled" if key.disabled else "in use"
            self.stdout.write(f"{key.name}  {key.prefix}  {key.role}  team {team}  {state}  last used {used}")


def _named(model: Any, name: str) -> Any:
    row = model.objects.alive().filter(name=name).first()
    if row is None:
        known = ", ".join(model.objects.alive().order_by("name").values_list("name", flat=True)) or "none"
        raise CommandError(f"There is no {model._meta.verbose_name} named {name!r}. There are: {known}.")
    return row


def _moment(text: str) -> datetime:
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
