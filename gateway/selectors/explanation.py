"""All that is known of one completion: its story, the prices it was charged at, the budgets it was held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import F, Q

from gateway.engine.words import CompletionStatus
from gateway.ledger.budgets import Budget as LedgerBudget
from gateway.ledger.budgets import CompletionFacts, Scope, Window, claims_for
from gateway.ledger.records import BudgetClaim
from gateway.models import Budget, BudgetReservation, BudgetWindow, Provider
from gateway.models.words import BudgetScope, Enforcement
from gateway.selectors.budget_checks import StoredCheck
from gateway.selectors.budget_status import subject_names
from gateway.selectors.completions import CompletionStory, completion_story
from gateway.selectors.configuration import organisation_zone
from gateway.selectors.feedback import FeedbackStory, feedback_of
from gateway.selectors.prices import PriceTerms, price_terms

_ZERO_USD = Decimal(0)
_Key = tuple[int, str, int]  # budget id, subject, window epoch


@dataclass(frozen=True, slots=True)
class BudgetCheck:
    """What one budget said to the completion when it began, and that window's amounts as they are now.

    While it is under way, and after a crash, only the latter are known: then limit and enforcement are the budget's
    present ones, and `spent_usd`, `reserved_usd` (by others), `claimed_usd`, `room_usd` and `verdict` are None.
    `held_usd` is what this completion still reserves of it: its worst case while it is under way, nothing once settled.
    `subject` is a name, None for a global budget.
    """

    budget: str
    scope: str
    subject: str | None
    enforcement: str
    limit_usd: Decimal
    window_starts_at: datetime | None
    resets_at: datetime | None
    held_usd: Decimal
    window_spent_usd: Decimal
    window_reserved_usd: Decimal
    spent_usd: Decimal | None = None
    reserved_usd: Decimal | None = None
    claimed_usd: Decimal | None = None
    room_usd: Decimal | None = None
    verdict: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    story: CompletionStory
    prices: tuple[PriceTerms, ...]
    budget_checks: tuple[BudgetCheck, ...]
    feedback: tuple[FeedbackStory, ...] = ()


def completion_explanation(*, request_id: str) -> Explanation | None:
    """None if there is no such completion. At most a dozen queries, however many attempts and budgets."""
    story = completion_story(request_id=request_id)
    if story is None:
        return None
    prices = price_terms(ids=(one.price_id for one in story.attempts if one.price_id is not None))
    return Explanation(story, prices, budget_checks(story), feedback_of(request_id=request_id))


def budget_checks(story: CompletionStory) -> tuple[BudgetCheck, ...]:
    return _kept_checks(story.budget_checks) if story.budget_checks else _budget_checks(story)


def _kept_checks(kept: tuple[StoredCheck, ...]) -> tuple[BudgetCheck, ...]:
    scopes = dict(Budget.objects.filter(pk__in={one.budget_id for one in kept}).values_list("pk", "scope"))
    names = subject_names((scopes.get(one.budget_id, ""), one.subject) for one in kept)
    windows = _windows_of(_stored_key(one) for one in kept)
    return tuple(_kept_check(one, scopes.get(one.budget_id, ""), windows.get(_stored_key(one)), names) for one in kept)


def _kept_check(
    one: StoredCheck,
    scope: str,
    window: BudgetWindow | None,
    names: Mapping[tuple[str, str], tuple[str | None, str | None]],
) -> BudgetCheck:
    return BudgetCheck(
        budget=one.budget,
        scope=scope,
        subject=names.get((scope, one.subject), (one.subject or None, None))[0],
        enforcement=(Enforcement.BLOCK if one.blocking else Enforcement.ALERT).value,
        limit_usd=one.limit_usd,
        window_starts_at=one.window_starts_at,
        resets_at=one.resets_at,
        held_usd=_ZERO_USD,
        window_spent_usd=window.spent_usd if window else _ZERO_USD,
        window_reserved_usd=window.reserved_usd if window else _ZERO_USD,
        spent_usd=one.spent_usd,
        reserved_usd=one.reserved_usd,
        claimed_usd=one.claimed_usd,
        room_usd=one.room_usd,
        verdict=one.verdict,
    )


def _budget_checks(story: CompletionStory) -> tuple[BudgetCheck, ...]:
    began_at = story.line.created_at
    budgets = Budget.objects.filter(Q(archived_at=None) | Q(archived_at__gt=began_at), created_at__lte=began_at)
    rows = {row.pk: row for row in budgets.order_by("name")}
    if not rows:
        return ()
    configured = [_as_ledger_knows_it(row) for row in rows.values()]
    claims = claims_for(configured, _facts(story), story.reserved_usd, began_at, organisation_zone())
    windows = _windows_of(map(_key, claims))
    held = _held(story)
    names = subject_names((rows[claim.budget_id].scope, claim.subject) for claim in claims)
    return tuple(_check(claim, rows[claim.budget_id], windows, held, names) for claim in claims)


def _held(story: CompletionStory) -> dict[tuple[int, str], Decimal]:
    """By budget and subject. What is kept of an orphan says what was charged: nothing is held any more."""
    if story.line.status != CompletionStatus.PENDING:
        return {}
    rows = BudgetReservation.objects.filter(completion_id=story.line.id)
    return {(row.budget_id, row.subject): row.amount_usd for row in rows}


def _as_ledger_knows_it(row: Budget) -> LedgerBudget:
    return LedgerBudget(
        id=row.pk,
        name=row.name,
        scope=Scope(row.scope),
        window=int(row.window) if row.window.isdecimal() else Window(row.window),
        limit_usd=row.limit_usd,
        subject=None if row.subject_id is None else str(row.subject_id),
        blocking=row.enforcement == Enforcement.BLOCK,
    )


def _facts(story: CompletionStory) -> CompletionFacts:
    return CompletionFacts(
        team_id=story.team_id or None,
        api_key_id=story.api_key_id,
        route_id=story.route_id,
        conversation=story.conversation,
        provider_ids=_planned(story),
    )


def _planned(story: CompletionStory) -> tuple[int, ...]:
    """The ids of the planned targets' providers, which the decision keeps as "provider/model"."""
    targets = story.decision.get("targets")
    if not isinstance(targets, list):
        return ()
    names = {str(target).partition("/")[0] for target in targets}
    living_last = F("archived_at").desc(nulls_last=True)
    rows = Provider.objects.filter(name__in=names).order_by(living_last).values_list("name", "pk")
    return tuple({str(name): int(pk) for name, pk in rows}.values())


def _key(claim: BudgetClaim) -> _Key:
    start = claim.window_starts_at
    return claim.budget_id, claim.subject, 0 if start is None else int(start.timestamp())


def _stored_key(one: StoredCheck) -> _Key:
    start = one.window_starts_at
    return one.budget_id, one.subject, 0 if start is None else int(start.timestamp())


def _windows_of(keys: Iterable[_Key]) -> dict[_Key, BudgetWindow]:
    wanted = Q(pk=None)
    for budget_id, subject, epoch in keys:
        wanted |= Q(budget_id=budget_id, subject=subject, window_epoch=epoch)
    return {(row.budget_id, row.subject, row.window_epoch): row for row in BudgetWindow.objects.filter(wanted)}


def _check(
    claim: BudgetClaim,
    row: Budget,
    windows: dict[_Key, BudgetWindow],
    held: Mapping[tuple[int, str], Decimal],
    names: dict[tuple[str, str], tuple[str | None, str | None]],
) -> BudgetCheck:
    window = windows.get(_key(claim))
    subject = (
        None if row.scope == BudgetScope.GLOBAL else names.get((row.scope, claim.subject), (claim.subject, None))[0]
    )
    return BudgetCheck(
        budget=row.name,
        scope=row.scope,
        subject=subject,
        enforcement=row.enforcement,
        limit_usd=claim.limit_usd,
        window_starts_at=claim.window_starts_at,
        resets_at=claim.resets_at,
        held_usd=held.get((claim.budget_id, claim.subject), _ZERO_USD),
        window_spent_usd=window.spent_usd if window else _ZERO_USD,
        window_reserved_usd=window.reserved_usd if window else _ZERO_USD,
    )
