"""Budgets in the words of alerts: one budget's window for one subject, and when it ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from gateway.models import Budget
from gateway.selectors.budget_status import budget_span, raises_in_force, subject_names
from gateway.selectors.configuration import organisation_zone

# A window that never resets would keep its incidents open for good.
ENDLESS = timedelta(hours=24)
# What was spent late in a window that is over since longer is no news.
OLD = timedelta(hours=1)
Key = tuple[int, str, int]  # budget's id, subject as the ledger keeps it, start of the window in seconds since 1970


@dataclass(frozen=True, slots=True)
class WatchedWindow:
    """`title` names budget and subject; `limit_usd` holds the raises in force; `resets_at` None: never."""

    key: Key
    budget: Any
    title: str
    limit_usd: Decimal
    resets_at: datetime | None

    @property
    def cause(self) -> str:
        return " ".join(map(str, self.key))

    @property
    def resets(self) -> str:
        return "It never resets." if self.resets_at is None else f"It resets at {self.resets_at:%Y-%m-%d %H:%M} UTC."

    def closes_at(self, now: datetime) -> datetime:
        return self.resets_at or now + ENDLESS

    def is_old(self, now: datetime) -> bool:
        return self.resets_at is not None and self.resets_at < now - OLD


def watched_windows(keys: Iterable[Key], *, now: datetime) -> dict[Key, WatchedWindow]:
    """Those of budgets in use. Three queries, and one per kind of subject."""
    wanted = list(keys)
    rows = Budget.objects.alive().filter(pk__in={key[0] for key in wanted})
    budgets = {row.pk: row for row in rows}
    raises, zone = raises_in_force(now=now), organisation_zone()
    names = subject_names((budgets[pk].scope, subject) for pk, subject, _ in wanted if pk in budgets)
    found = {}
    for key in wanted:
        budget = budgets.get(key[0])
        if budget is None:
            continue
        raised = raises.get(budget.pk)
        end = budget_span(budget, datetime.fromtimestamp(key[2], UTC), zone)[1]
        name, team = names.get((budget.scope, key[1]), (key[1], None))
        limit_usd = budget.limit_usd + (raised.amount_usd if raised else Decimal(0))
        found[key] = WatchedWindow(key, budget, _title(budget.name, name, team), limit_usd, end)
    return found


def _title(budget: str, subject: str | None, team: str | None) -> str:
    of_team = f" of {team}" if team else ""
    return f"{budget} ({subject}{of_team})" if subject else budget
