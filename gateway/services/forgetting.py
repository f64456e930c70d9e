"""A person asks to be forgotten: what a conversation or an API key left behind is deleted, or no longer points to them.

The books stay exact: rows, amounts and sums are kept, under a name that says nothing (docs/forgetting.md). Requests are
done a few at a time, so that those under way wait for no long transaction; whatever ends it, doing it again goes on
where it stopped. Requests that have not ended are left alone and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Max, Min, QuerySet
from django.utils import timezone

from gateway.ledger.turns import short_transaction
from gateway.models import (
    Alert,
    AlertDelivery,
    BudgetWindow,
    Completion,
    ConfigurationChange,
    Conversation,
    Route,
)
from gateway.selectors.outcomes import PENDING
from gateway.services.cache_purge import cache_purge
from gateway.services.configuration import change_record
from gateway.services.forgetting_rows import (
    ROWS_PER_TRANSACTION,
    pseudonym,
    subject_replace,
    texts_erase,
)

ACTION, SECTION = "forgotten", "requests"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """`name` stands for it from now on; `under_way` requests had not ended and are as they were."""

    name: str
    requests: int
    under_way: int


def conversation_forget(*, conversation: str, team_id: int, team: str, actor: str) -> Forgotten:
    """Forget a team's conversation; `team` is its name. Raises CacheAway, before anything is changed."""
    rows = Completion.objects.filter(team_id=team_id, conversation=conversation)
    _cached_answers_purge(rows, actor)
    forgotten = conversation_erase(conversation=conversation, team_id=team_id)
    of_team = f" of {team}" if team else ""
    after = f"{forgotten.requests} requests forgotten"
    change_record(
        actor=actor, action=ACTION, section=SECTION, name=f"conversation {forgotten.name}{of_team}", after=after
    )
    return forgotten


def _cached_answers_purge(rows: QuerySet[Completion], actor: str) -> None:
    """Cached answers don't say whose they are: all of the routes that may have kept one go."""
    routes = rows.exclude(cache="bypass").values_list("route_id", flat=True).distinct()
    for route in Route.objects.filter(pk__in=set(routes.order_by())):
        cache_purge(actor=actor, route=route)


def conversation_erase(*, conversation: str, team_id: int) -> Forgotten:
    """Without the cache, and without a row of history."""
    rows = Completion.objects.filter(team_id=team_id, conversation=conversation)
    old = _row_of(rows, conversation, team_id)
    name = pseudonym(old.pk)
    count, moved = 0, ROWS_PER_TRANSACTION
    while moved == ROWS_PER_TRANSACTION:
        with short_transaction():
            moved = _some_requests_move(rows, old, name)
        count += moved
    with short_transaction():
        count += _totals_move(rows, old, name)
    _history_rename(conversation, name)
    return Forgotten(name, count, rows.count())


def _row_of(rows: QuerySet[Completion], conversation: str, team_id: int) -> Conversation:
    """The conversation's row, whose number makes the new name; one of refused requests alone has none yet."""
    times = rows.aggregate(first=Min("created_at"), last=Max("created_at"))
    first, last = times["first"] or timezone.now(), times["last"] or timezone.now()
    defaults = {"first_seen_at": first, "last_seen_at": last}
    return Conversation.objects.get_or_create(team_id=team_id, external_id=conversation, defaults=defaults)[0]


def _some_requests_move(rows: QuerySet[Completion], old: Conversation, name: str) -> int:
    ids = list(rows.exclude(PENDING).values_list("pk", flat=True)[:ROWS_PER_TRANSACTION])
    texts_erase(ids)
    subject_replace(ids, f"{old.team_id}:{old.external_id}", f"{old.team_id}:{name}")
    Completion.objects.filter(pk__in=ids).update(conversation=name)
    return len(ids)


def _totals_move(rows: QuerySet[Completion], old: Conversation, name: str) -> int:
    """The conversation's row, locked: what was settled until now is in its sums and moves with them."""
    locked = Conversation.objects.select_for_update().filter(pk=old.pk).first()
    if locked is None:  # somebody else has just done it
        return 0
    subject = f"{old.team_id}:{old.external_id}"
    count = 0
    while moved := _some_requests_move(rows, old, name):
        count += moved
    _merge(locked, name)
    _windows_move(subject, f"{old.team_id}:{name}")
    _alerts_rename(subject, old.external_id, name)
    return count


def _merge(old: Conversation, name: str) -> None:
    """Rename the row; where a late settlement has made one of the new name, add to that."""
    there = Conversation.objects.select_for_update().filter(team_id=old.team_id, external_id=name).first()
    if there is None:
        Conversation.objects.filter(pk=old.pk).update(external_id=name)
        return
    for sum_ in ("completions", "input_tokens", "output_tokens", "cost_usd"):
        setattr(there, sum_, getattr(there, sum_) + getattr(old, sum_))
    there.first_seen_at = min(there.first_seen_at, old.first_seen_at)
    there.save()
    old.delete()


def _windows_move(old: str, new: str) -> None:
    """What was spent goes to the new name; what is reserved stays where requests under way release it."""
    windows = BudgetWindow.objects.select_for_update()
    for window in windows.filter(subject=old).order_by("budget_id", "window_epoch"):
        key: dict[str, Any] = {
            "budget_id": window.budget_id,
            "window_epoch": window.window_epoch,
            "subject": new,
        }
        there, _ = windows.get_or_create(**key)
        there.spent_usd += window.spent_usd
        there.checked_usd += window.checked_usd
        there.save(update_fields=["spent_usd", "checked_usd"])
        if window.reserved_usd:
            BudgetWindow.objects.filter(pk=window.pk).update(spent_usd=0, checked_usd=0)
        else:
            window.delete()


def _alerts_rename(subject: str, conversation: str, name: str) -> None:
    """Alerts that its budget gave; `opened_by` is the window's key (`alerts.budget_windows`)."""
    for alert in Alert.objects.filter(opened_by__contains=f" {subject} "):
        alert.opened_by = alert.opened_by.replace(f":{conversation} ", f":{name} ")
        alert.subject = alert.subject.replace(f"({conversation}", f"({name}")
        alert.message = alert.message.replace(f"({conversation}", f"({name}")
        alert.save(update_fields=["opened_by", "subject", "message"])
        for delivery in AlertDelivery.objects.filter(alert=alert):
            delivery.title = delivery.title.replace(f"({conversation}", f"({name}")
            delivery.body = delivery.body.replace(f"({conversation}", f"({name}")
            delivery.save(update_fields=["title", "body"])


def _history_rename(conversation: str, name: str) -> None:
    """Rows that tell of its content's deletion name it (`services.content_retention`)."""
    wanted = f"conversation {conversation}"
    for change in ConfigurationChange.objects.filter(section="content", name__startswith=wanted):
        rest = change.name.removeprefix(wanted)
        if not rest or rest.startswith(" of "):
            ConfigurationChange.objects.filter(pk=change.pk).update(name=f"conversation {name}{rest}")
