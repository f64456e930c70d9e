"""How long stored content stays: until its day, or until somebody has it forgotten."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from gateway.ledger.turns import short_transaction
from gateway.models import Completion, StoredContent
from gateway.services.configuration import change_record

SECTION = "content"
FORGOTTEN = "forgotten"
# A row may be 3 MB: a transaction of this many stays short, so that requests never wait long for it.
ROWS_PER_TRANSACTION = 50


def content_prune(*, now: datetime) -> int:
    """Delete what is kept for long enough; how many rows that were."""
    return _delete(StoredContent.objects.filter(delete_at__lte=now).order_by("delete_at"))


def conversation_content_forget(*, conversation: str, team_id: int, team: str, actor: str) -> int:
    """Delete what was asked and answered in a team's conversation; of how many requests."""
    of = Completion.objects.filter(team_id=team_id, conversation=conversation)
    return _forget(of, f"conversation {conversation}" + (f" of {team}" if team else ""), actor)


def key_content_forget(*, api_key_id: int, name: str, actor: str) -> int:
    """Delete what was asked and answered with an API key; of how many requests."""
    return _forget(Completion.objects.filter(api_key_id=api_key_id), f"API key {name}", actor)


def _forget(completions: QuerySet[Completion], what: str, actor: str) -> int:
    count = _delete(StoredContent.objects.filter(completion_id__in=completions.values("pk")))
    change_record(actor=actor, action=FORGOTTEN, section=SECTION, name=what, after=f"{count} requests")
    return count


def _delete(rows: QuerySet[StoredContent]) -> int:
    total = 0
    while ids := list(rows.values_list("pk", flat=True)[:ROWS_PER_TRANSACTION]):
        with short_transaction():
            StoredContent.objects.filter(pk__in=ids).delete()
        total += len(ids)
    return total
