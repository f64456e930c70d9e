"""`manage.py forget`: delete stored content before its time, or forget a conversation or an API key altogether."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from gateway.models import ApiKey
from gateway.selectors.conversations import conversation_teams
from gateway.selectors.ledger_spool import ledger_spool_state
from gateway.services.cache_purge import CacheAway
from gateway.services.content_retention import conversation_content_forget, key_content_forget
from gateway.services.forgetting import Forgotten, conversation_forget
from gateway.services.forgetting_keys import key_forget

ACTOR = "manage.py forget"


class Command(BaseCommand):
    help = "Delete what was asked and answered in a conversation or with an API key. Rows and costs of requests stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--conversation", metavar="ID", help="in every team that has a conversation of this id")
        what.add_argument("--key", metavar="NAME", help="every API key that has or had this name")
        parser.add_argument(
            "--everything",
            action="store_true",
            help="not only stored content: ids, names, notes and messages too; the key is archived. Amounts stay",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        conversation, key = options["conversation"], options["key"]
        if options["everything"]:
            self._everything(conversation, key)
            return
        count = _key_content(key) if conversation is None else _conversation_content(conversation)
        self.stdout.write(f"The content of {count} request{'' if count == 1 else 's'} is deleted.")

    def _everything(self, conversation: str | None, key: str | None) -> None:
        try:
            told = _keys_forget(key) if conversation is None else _conversations_forget(conversation)
        except CacheAway as error:
            raise CommandError(error.message) from None
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        for forgotten in told:
            self.stdout.write(f"{forgotten.requests} requests are forgotten; they are {forgotten.name} now.")
            if forgotten.under_way:
                again = "" if key is None else f" with --key {forgotten.name}"
                self.stdout.write(
                    f"{forgotten.under_way} were still under way: do it again{again} when they have ended."
                )
        if waiting := ledger_spool_state().records:
            self.stdout.write(f"{waiting} records wait in this machine's spool: do it again when they are written.")


def _teams(conversation: str) -> dict[int, str]:
    teams = conversation_teams(conversation=conversation)
    if not teams:
        raise CommandError(f"There is no conversation {conversation!r}.")
    return teams


def _keys(name: str | None) -> list[ApiKey]:
    keys = list(ApiKey.objects.filter(name=name))
    if not keys:
        raise CommandError(f"There is no API key {name!r}.")
    return keys


def _conversation_content(conversation: str) -> int:
    return sum(
        conversation_content_forget(conversation=conversation, team_id=team_id, team=team, actor=ACTOR)
        for team_id, team in _teams(conversation).items()
    )


def _key_content(name: str | None) -> int:
    return sum(key_content_forget(api_key_id=key.pk, name=key.name, actor=ACTOR) for key in _keys(name))


def _conversations_forget(conversation: str) -> list[Forgotten]:
    return [
        conversation_forget(conversation=conversation, team_id=team_id, team=team, actor=ACTOR)
        for team_id, team in _teams(conversation).items()
    ]


def _keys_forget(name: str | None) -> list[Forgotten]:
    return [key_forget(key=key, actor=ACTOR) for key in _keys(name)]
