"""Every budget as it stands now: what is spent and reserved in the current window, per subject."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, F, Min, Q, QuerySet, Sum, Window
from django.db.models.functions import RowNumber

from gateway.ledger.budgets import Window as BudgetSpan
from gateway.ledger.budgets import window_of
from gateway.models import ApiKey, Budget, BudgetRaise, BudgetWindow, Provider, Route, Team
from gateway.models.words import BudgetScope
from gateway.selectors.configuration import organisation_zone

_SUBJECTS: Mapping[str, type[Any]] = {
    BudgetScope.TEAM.value: Team,
    BudgetScope.API_KEY.value: ApiKey,
    BudgetScope.ROUTE.value: Route,
    BudgetScope.PROVIDER.value: Provider,
}
_ZERO_USD = Decimal(0)


@dataclass(frozen=True, slots=True)
class BudgetStanding:
    """One budget for one subject in the current window.

    `subject` is a name; None for a global budget and for a budget of each one whose window nobody has used yet. `team`
    is the team of a conversation (None without one, and in other scopes). `window` is a word or a number of seconds;
    `window_starts_at` and `resets_at` are None for a budget without end. `limit_usd` holds
    `raised_usd`, what temporary raises add to it now; the first of them ends at `raised_until`. `other_subjects`
    counts those left out for length.
    """

    name: str
    scope: str
    subject: str | None
    team: str | None
    limit_usd: Decimal
    raised_usd: Decimal
    raised_until: datetime | None
    spent_usd: Decimal
    reserved_usd: Decimal
    remaining_usd: Decimal
    window: str | int
    window_starts_at: datetime | None
    resets_at: datetime | None
    enforcement: str
    other_subjects: int


@dataclass(frozen=True, slots=True)
class _Use:
    subject: str
    spent_usd: Decimal
    reserved_usd: Decimal
    subjects: int


@dataclass(frozen=True, slots=True)
class Raised:
    """What temporary raises add to a budget's limit together, and when the first of them ends."""

    amount_usd: Decimal
    until: datetime


def raises_in_force(*, now: datetime) -> dict[int, Raised]:
    """By budget's id. One query."""
    rows = (
        BudgetRaise.objects.filter(until__gt=now).values("budget_id").annotate(sum=Sum("amount_usd"), end=Min("until"))
    )
    return {row["budget_id"]: Raised(row["sum"], row["end"]) for row in rows.order_by()}


def budget_standings(*, now: datetime, subjects_per_budget: int) -> tuple[BudgetStanding, ...]:
    """Budgets in use by name; of a budget of each one, the subjects that used the window, dearest first.

    Four queries, and one per kind of subject that has a name.
    """
    rows = Budget.objects.alive().select_related("team", "api_key", "route", "provider").order_by("name")
    return standings_of(list(rows), now=now, subjects_per_budget=subjects_per_budget)


def standings_of(budgets: Sequence[Budget], *, now: datetime, subjects_per_budget: int) -> tuple[BudgetStanding, ...]:
    """As `budget_standings`, of these."""
    zone = organisation_zone()
    spans = {budget.pk: budget_span(budget, now, zone) for budget in budgets}
    uses = _uses({pk: _epoch(start) for pk, (start, _) in spans.items()}, subjects_per_budget)
    names = subject_names((budget.scope, use.subject) for budget in budgets for use in uses[budget.pk])
    raises = raises_in_force(now=now)
    return tuple(
        _standing(budget, use, spans[budget.pk], names, len(uses[budget.pk]), raises.get(budget.pk))
        for budget in budgets
        for use in uses[budget.pk] or [_unused(budget)]
    )


def budget_span(budget: Budget, at: datetime, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """Start and end of the window that holds `at`."""
    return window_of(int(budget.window) if budget.window.isdecimal() else BudgetSpan(budget.window), at, zone)


def subject_names(subjects: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    """(scope, subject as the ledger keeps it) → (name, team): archived ones too. One query per kind of subject."""
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for scope, subject in subjects:
        wanted[scope].add(subject)
    conversations = wanted.pop(BudgetScope.CONVERSATION.value, set())
    wanted[BudgetScope.TEAM.value] |= {subject.partition(":")[0] for subject in conversations}
    known = {scope: _names(_SUBJECTS[scope], ids) for scope, ids in wanted.items() if scope in _SUBJECTS}
    named: dict[tuple[str, str], tuple[str | None, str | None]] = {
        (scope, identity): (name, None) for scope, names in known.items() for identity, name in names.items()
    }
    for subject in conversations:
        team_id, _, conversation = subject.partition(":")
        named[BudgetScope.CONVERSATION.value, subject] = (
            conversation,
            known[BudgetScope.TEAM.value].get(team_id),
        )
    return named


def _names(model: type[Any], ids: set[str]) -> dict[str, str]:
    numbers = [int(identity) for identity in ids if identity.isdecimal()]
    if not numbers:
        return {}
    return {str(pk): name for pk, name in model.objects.filter(pk__in=numbers).values_list("pk", "name")}


def _uses(epochs: Mapping[int, int], subjects_per_budget: int) -> defaultdict[int, list[_Use]]:
    """What the current windows hold, the dearest subjects of each budget first."""
    found: defaultdict[int, list[_Use]] = defaultdict(list)
    by_epoch: defaultdict[int, list[int]] = defaultdict(list)
    for budget_id, epoch in epochs.items():
        by_epoch[epoch].append(budget_id)
    if not by_epoch:
        return found
    current = Q()
    for epoch, budget_ids in by_epoch.items():
        current |= Q(window_epoch=epoch, budget_id__in=budget_ids)
    for budget_id, *values in _ranked(current).filter(rank__lte=subjects_per_budget).order_by("budget_id", "rank"):
        found[budget_id].append(_Use(*values[:4]))
    return found


def _ranked(current: Q) -> QuerySet[Any, Any]:
    dearest_first = [F("spent_usd").desc(), F("subject").asc()]
    rows: QuerySet[Any, Any] = BudgetWindow.objects.filter(current).annotate(
        subjects=Window(Count("pk"), partition_by=[F("budget_id")]),
        rank=Window(RowNumber(), partition_by=[F("budget_id")], order_by=dearest_first),
    )
    return rows.values_list("budget_id", "subject", "spent_usd", "reserved_usd", "subjects", "rank")


def _unused(budget: Budget) -> _Use:
    subject = "" if budget.subject_id is None else str(budget.subject_id)
    return _Use(subject, _ZERO_USD, _ZERO_USD, 0)


def _standing(
    budget: Budget,
    use: _Use,
    span: tuple[datetime | None, datetime | None],
    names: Mapping[tuple[str, str], tuple[str | None, str | None]],
    listed: int,
    raised: Raised | None,
) -> BudgetStanding:
    limit_usd = budget.limit_usd + (raised.amount_usd if raised else _ZERO_USD)
    name, team = names.get((budget.scope, use.subject), (use.subject or None, None))
    return BudgetStanding(
        name=budget.name,
        scope=budget.scope,
        subject=budget.subject.name if budget.subject is not None else name,
        team=team,
        limit_usd=limit_usd,
        raised_usd=raised.amount_usd if raised else _ZERO_USD,
        raised_until=raised.until if raised else None,
        spent_usd=use.spent_usd,
        reserved_usd=use.reserved_usd,
        remaining_usd=max(_ZERO_USD, limit_usd - use.spent_usd - use.reserved_usd),
        window=int(budget.window) if budget.window.isdecimal() else budget.window,
        window_starts_at=span[0],
        resets_at=span[1],
        enforcement=budget.enforcement,
        other_subjects=max(0, use.subjects - listed),
    )


def _epoch(start: datetime | None) -> int:
    """As `BudgetWindow.window_epoch` keeps it."""
    return 0 if start is None else int(start.timestamp())
