"""What the budgets would say to a completion at this moment, without reserving anything.

The decision is the ledger's own (`gateway.ledger.admission`), on the windows' rows as they are; the next request may
find less room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q

from gateway.ledger.admission import WindowState, budget_exceeded, refusals
from gateway.ledger.money import usd_to_pico
from gateway.ledger.records import BudgetClaim, Opened
from gateway.ledger.rows import ClaimRow, WindowKey, claim_rows
from gateway.models import BudgetWindow


@dataclass(frozen=True, slots=True)
class _Asking:
    id: str
    claims: tuple[ClaimRow, ...]


def budget_admission(claims: Sequence[BudgetClaim]) -> Opened:
    """The answer to an intent with these claims. Raises NotGranted. One query, none without claims."""
    asking = _Asking("dry run", claim_rows(claims))
    before = _windows(asking.claims)
    refusal = refusals([asking], _with_claims(before, asking.claims)).get(asking.id)
    if refusal is not None:
        raise budget_exceeded(refusal)
    states = [before[claim.key] for claim in asking.claims]
    return Opened(windows=tuple((state.spent, state.reserved) for state in states))


def _windows(claims: Sequence[ClaimRow]) -> dict[WindowKey, WindowState]:
    wanted = Q(pk=None)
    for claim in claims:
        budget_id, subject, epoch = claim.key
        wanted |= Q(budget_id=budget_id, subject=subject, window_epoch=epoch)
    rows = BudgetWindow.objects.filter(wanted) if claims else ()
    found = {
        (row.budget_id, row.subject, row.window_epoch): WindowState(
            usd_to_pico(row.spent_usd), usd_to_pico(row.reserved_usd)
        )
        for row in rows
    }
    return {claim.key: found.get(claim.key, WindowState(0, 0)) for claim in claims}


def _with_claims(before: Mapping[WindowKey, WindowState], claims: Sequence[ClaimRow]) -> dict[WindowKey, WindowState]:
    """As the ledger sees them when it decides: what is asked for is counted already."""
    states = dict(before)
    for claim in claims:
        state = states[claim.key]
        states[claim.key] = WindowState(state.spent, state.reserved + claim.amount)
    return states
