"""Which budgets a completion falls under, and in which window. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from gateway.ledger.records import BudgetClaim

_HOUR = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The calendar windows asked for last, by kind and zone: nearly every request falls into the one before it.
_last_windows: dict[tuple[Window, str], tuple[datetime, datetime]] = {}


class Scope(StrEnum):
    """What a budget is for: everything, or each (or one) team, key, route, provider or conversation."""

    GLOBAL = "global"
    TEAM = "team"
    API_KEY = "api_key"
    ROUTE = "route"
    PROVIDER = "provider"
    CONVERSATION = "conversation"


class Window(StrEnum):
    """A budget's calendar windows; a plain number of seconds is a window too."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


# Whose remaining room a client may be told: the organisation's budgets are not its business (DESIGN, response headers).
_VISIBLE = frozenset({Scope.TEAM, Scope.API_KEY, Scope.CONVERSATION})


@dataclass(frozen=True, slots=True)
class LimitRaise:
    """So much more than the limit, until then."""

    amount_usd: Decimal
    until: datetime


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget as configured.

    `subject` is what `BudgetClaim.subject` holds (an id as text; a conversation's "team_id:external id"), None for each
    one. `window` in seconds is aligned to the epoch. `blocking` refuses what doesn't fit, else it only counts.
    """

    id: int
    name: str
    scope: Scope
    window: Window | int
    limit_usd: Decimal
    subject: str | None = None
    blocking: bool = True
    alert_at_percent: tuple[int, ...] = ()
    step_down_at_percent: int | None = None
    shrink_output: bool = False
    raises: tuple[LimitRaise, ...] = ()

    def limit_at(self, at: datetime) -> Decimal:
        """The limit with the raises in force at that moment."""
        if not self.raises:
            return self.limit_usd
        return self.limit_usd + sum((one.amount_usd for one in self.raises if at < one.until), Decimal(0))


@dataclass(frozen=True, slots=True)
class CompletionFacts:
    """Who asks for what: ids of the configuration rows. `provider_ids` are those of the planned targets, in order;
    `provider_worst_usd` is the most the completion can cost at each, where that is known to be less than the whole."""

    team_id: int | None
    api_key_id: int | None
    route_id: int | None
    conversation: str
    provider_ids: tuple[int, ...] = ()
    provider_worst_usd: Mapping[int, Decimal] = field(default_factory=dict)


def window_of(window: Window | int, at: datetime, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """Start and end (UTC) of the window that holds `at`; (None, None) for a budget without end.

    Windows of one kind follow each other without gap or overlap, whatever the zone's clocks do. Days begin at the
    zone's midnight, weeks on Monday; hours count from midnight in elapsed time, so a day of 25 hours has 25.
    """
    if isinstance(window, int):
        return _seconds_window(window, at)
    if window is Window.TOTAL:
        return None, None
    known = _last_windows.get((window, zone.key))
    if known is None or not known[0] <= at < known[1]:
        known = _last_windows[window, zone.key] = _calendar_window(window, at, zone)
    return known


def _calendar_window(window: Window, at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    day = at.astimezone(zone).date()
    if window is Window.HOUR:
        return _hour_window(day, at, zone)
    first, following = _dates(window, day)
    return _midnight(first, zone), _midnight(following, zone)


def claims_for(
    budgets: Iterable[Budget], facts: CompletionFacts, amount_usd: Decimal, at: datetime, zone: ZoneInfo
) -> tuple[BudgetClaim, ...]:
    """The room a completion asks for: one claim of `amount_usd` per budget it falls under, in the budgets' order.

    A provider budget is claimed for every planned target's provider, in key order: each may come to be asked.
    """
    return tuple(
        _claim(budget, subject, amount_usd, at, zone)
        if provider_id is None
        else _provider_claim(budget, provider_id, facts, amount_usd, at, zone)
        for budget in budgets
        for subject, provider_id in _subjects(budget.scope, facts)
        if budget.subject in (None, subject)
    )


def blocking_applies(budgets: Iterable[Budget], facts: CompletionFacts) -> bool:
    """Whether one of the budgets that a completion falls under refuses what doesn't fit."""
    return any(
        budget.subject in (None, subject)
        for budget in budgets
        if budget.blocking
        for subject, _ in _subjects(budget.scope, facts)
    )


def conversation_subject(team_id: int | None, conversation: str) -> str:
    return f"{team_id or 0}:{conversation}"


def _subjects(scope: Scope, facts: CompletionFacts) -> list[tuple[str, int | None]]:
    """Whom a budget of this scope is claimed for, with the provider's id where it is a provider's."""
    if scope is Scope.PROVIDER:
        return sorted((str(one), one) for one in set(facts.provider_ids))
    if scope is Scope.GLOBAL:
        return [("", None)]
    if scope is Scope.CONVERSATION:
        return [(conversation_subject(facts.team_id, facts.conversation), None)]
    identity = facts.team_id if scope is Scope.TEAM else facts.api_key_id if scope is Scope.API_KEY else facts.route_id
    return [] if identity is None else [(str(identity), None)]


def _provider_claim(
    budget: Budget, provider_id: int, facts: CompletionFacts, amount_usd: Decimal, at: datetime, zone: ZoneInfo
) -> BudgetClaim:
    amount_usd = facts.provider_worst_usd.get(provider_id, amount_usd)
    return replace(_claim(budget, str(provider_id), amount_usd, at, zone), provider_id=provider_id)


def _claim(budget: Budget, subject: str, amount_usd: Decimal, at: datetime, zone: ZoneInfo) -> BudgetClaim:
    starts_at, resets_at = window_of(budget.window, at, zone)
    return BudgetClaim(
        budget_id=budget.id,
        budget_name=budget.name,
        subject=subject,
        window_starts_at=starts_at,
        resets_at=resets_at,
        limit_usd=budget.limit_at(at),
        amount_usd=amount_usd,
        blocking=budget.blocking,
        visible=budget.scope in _VISIBLE,
        step_down_percent=budget.step_down_at_percent,
        shrinks=budget.shrink_output,
    )


def _seconds_window(seconds: int, at: datetime) -> tuple[datetime, datetime]:
    length = timedelta(seconds=seconds)
    start = at.astimezone(UTC) - (at - _EPOCH) % length
    return start, start + length


def _hour_window(day: date, at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    midnight, next_midnight = _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
    start = midnight + (at - midnight) // _HOUR * _HOUR
    return start, min(start + _HOUR, next_midnight)


def _dates(window: Window, day: date) -> tuple[date, date]:
    """First day of the day, week or month that holds `day`, and of the next one."""
    if window is Window.WEEK:
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    if window is Window.MONTH:
        first = day.replace(day=1)
        return first, (first + timedelta(days=31)).replace(day=1)
    return day, day + timedelta(days=1)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day: where clocks skip or repeat midnight, fold 0 is the right, earlier reading."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
