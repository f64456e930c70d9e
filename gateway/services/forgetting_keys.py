"""An API key is forgotten: its name, and every conversation it took part in (`services.forgetting`)."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import QuerySet

from gateway.engine.words import CompletionStatus
from gateway.ledger.turns import short_transaction
from gateway.models import (
    ApiKey,
    Batch,
    BatchFile,
    Completion,
    ConfigurationChange,
    Feedback,
    LatencyCell,
    UsageCell,
    UsageProgress,
)
from gateway.selectors.outcomes import PENDING
from gateway.services.archive import configuration_archive
from gateway.services.cache_purge import cache_purge
from gateway.services.configuration import change_record
from gateway.services.forgetting import ACTION, SECTION, Forgotten, conversation_erase
from gateway.services.forgetting_rows import (
    ROWS_PER_TRANSACTION,
    is_pseudonym,
    pseudonym,
    texts_erase,
)


def key_forget(*, key: ApiKey, actor: str) -> Forgotten:
    """Archive the key and forget it, with all cached answers, which don't say whose they are.

    Raises CacheAway, and ValidationError with what needs the key while other configuration uses it; nothing is
    forgotten then.
    """
    old, name = key.name, pseudonym(key.pk, "-key")
    cache_purge(actor=actor)
    if not key.archived:
        configuration_archive(row=key, actor=actor)
    rows = Completion.objects.filter(api_key_id=key.pk)
    count = _requests_forget(rows, name)
    _files_erase(key.pk, name)
    names = {old, *UsageCell.objects.filter(api_key_id=key.pk).values_list("api_key_name", flat=True).distinct()}
    _cells_rename(key.pk, sorted(names), name)
    _key_rename(key, old, name)
    after = f"{count} requests forgotten"
    change_record(actor=_renamed(actor, old, name), action=ACTION, section=SECTION, name=f"API key {name}", after=after)
    return Forgotten(name, count, rows.filter(PENDING).count())


def _requests_forget(rows: QuerySet[Completion], name: str) -> int:
    """All that have ended, in the order of their ids, page by page: there is no index by key."""
    count, last = 0, ""
    while page := list(
        rows.filter(pk__gt=last)
        .order_by("pk")
        .values_list("pk", "team_id", "conversation", "status")[:ROWS_PER_TRANSACTION]
    ):
        last = page[-1][0]
        for team_id, conversation in sorted({row[1:3] for row in page}):
            if conversation and not is_pseudonym(conversation):
                conversation_erase(conversation=conversation, team_id=team_id)
        ended = [row for row in page if row[3] != CompletionStatus.PENDING]
        _requests_rename([row[0] for row in ended], [row[0] for row in ended if not row[2]], name)
        count += len(ended)
    return count


@short_transaction()
def _requests_rename(ids: Sequence[str], alone: Sequence[str], name: str) -> None:
    """`alone` are those of no conversation, with which the others' texts went."""
    texts_erase(alone)
    Completion.objects.filter(pk__in=ids).update(api_key_name=name)
    Feedback.objects.filter(completion_id__in=ids).update(api_key_name=name)


@short_transaction()
def _files_erase(key: int, name: str) -> None:
    """Files it sent go, those that an open batch still reads excepted; its batches lose what clients said of them."""
    open_batches = Batch.objects.filter(api_key_id=key, ended_at__isnull=True)
    kept = set(open_batches.values_list("input_file_id", flat=True))
    BatchFile.objects.filter(api_key_id=key).exclude(pk__in=kept).delete()
    Batch.objects.filter(api_key_id=key, ended_at__isnull=False).update(api_key_name=name, metadata=None)


@short_transaction()
def _cells_rename(key: int, names: Sequence[str], name: str) -> None:
    """The sums by hour and day. Whoever adds usage up at this moment read rows of the old name: it loses its claim, and
    the next one adds up anew."""
    UsageProgress.objects.update(claimed_by="", claimed_until=None)
    UsageCell.objects.filter(api_key_id=key).update(api_key_name=name)
    LatencyCell.objects.filter(api_key_name__in=names).update(api_key_name=name)


@short_transaction()
def _key_rename(key: ApiKey, old: str, name: str) -> None:
    ApiKey.objects.filter(pk=key.pk).update(name=name)
    told = ConfigurationChange.objects.filter(section="api_keys", name=old)
    told.update(name=name, before="", after="")
    ConfigurationChange.objects.filter(section="content", name=f"API key {old}").update(name=f"API key {name}")
    ConfigurationChange.objects.filter(actor=f"API key {old}").update(actor=f"API key {name}")


def _renamed(actor: str, old: str, name: str) -> str:
    return f"API key {name}" if actor == f"API key {old}" else actor
