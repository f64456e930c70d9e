"""`manage.py forget`: delete stored content before its time."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gateway.models import ApiKey
from gateway.selectors.conversations import conversation_teams
from gateway.services.content_retention import conversation_content_forget, key_content_forget

ACTOR = "manage.py forget"


class Command(BaseCommand):
    help = "Delete what was asked and answered in a conversation or with an API key. Rows and costs of requests stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--conversation", metavar="ID", help="in every team that has a conversation of this id")
        what.add_argument("--key", metavar="NAME", help="every API key that has or had this name")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["conversation"] is not None:
            count = self._conversation(options["conversation"])
        else:
            count = self._key(options["key"])
        self.stdout.write(f"The content of {count} request{'' if count == 1 else 's'} is deleted.")

    def _conversation(self, conversation: str) -> int:
        teams = conversation_teams(conversation=conversation)
        if not teams:
            raise CommandError(f"There is no conversation {conversation!r}.")
        return sum(
            conversation_content_forget(conversation=conversation, team_id=team_id, team=team, actor=ACTOR)
            for team_id, team in teams.items()
        )

    def _key(self, name: str) -> int:
        keys = list(ApiKey.objects.filter(name=name).values_list("pk", flat=True))
        if not keys:
            raise CommandError(f"There is no API key {name!r}.")
        return sum(key_content_forget(api_key_id=key, name=name, actor=ACTOR) for key in keys)
