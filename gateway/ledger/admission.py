"""Who fits a budget: the decision, on whole pico-dollars, without a database. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.engine.errors import BudgetExceeded
from gateway.ledger.money import pico_to_usd, usd_text
from gateway.ledger.records import BudgetClaim
from gateway.ledger.rows import ClaimRow, WindowKey


class Asking(Protocol):
    """A completion that asks for room: an intent, or an extension with what it lacks."""

    @property
    def id(self) -> str: ...

    @property
    def claims(self) -> tuple[ClaimRow, ...]: ...


@dataclass(frozen=True, slots=True)
class WindowState:
    spent: int
    reserved: int

    @property
    def taken(self) -> int:
        return self.spent + self.reserved


@dataclass(frozen=True, slots=True)
class Refusal:
    """The first blocking claim that didn't fit, and the window as it stood."""

    claim: ClaimRow
    state: WindowState


def is_overbooked(opens: Sequence[Asking], states: Mapping[WindowKey, WindowState]) -> bool:
    """Whether a blocking budget is passed once all of `opens` are counted in `states`."""
    return any(
        claim.claim.blocking and claim.amount and states[claim.key].taken > claim.limit
        for row in opens
        for claim in row.claims
    )


def refusals(opens: Sequence[Asking], states: Mapping[WindowKey, WindowState]) -> dict[str, Refusal]:
    """Decide request by request, in order of arrival; `states` already count all of `opens`.

    What costs nothing always fits.
    """
    reserved = {key: state.reserved for key, state in states.items()}
    for row in opens:
        for claim in row.claims:
            reserved[claim.key] -= claim.amount
    refused: dict[str, Refusal] = {}
    for row in opens:
        refusal = _first_refusal(row, states, reserved)
        if refusal is not None:
            refused[row.id] = refusal
            continue
        for claim in row.claims:
            reserved[claim.key] += claim.amount
    return refused


def _first_refusal(
    row: Asking, states: Mapping[WindowKey, WindowState], reserved: Mapping[WindowKey, int]
) -> Refusal | None:
    for claim in row.claims:
        state = WindowState(states[claim.key].spent, reserved[claim.key])
        if claim.claim.blocking and claim.amount and state.taken + claim.amount > claim.limit:
            return Refusal(claim, state)
    return None


def budget_exceeded(refusal: Refusal) -> BudgetExceeded:
    """The error the client gets; `details` hold the same facts as its sentence, as strings."""
    claim = refusal.claim.claim
    details = {
        "budget": claim.budget_name,
        "limit_usd": usd_text(claim.limit_usd),
        "spent_usd": usd_text(pico_to_usd(refusal.state.spent)),
        "reserved_usd": usd_text(pico_to_usd(refusal.state.reserved)),
        "requested_usd": usd_text(pico_to_usd(refusal.claim.amount)),
        "resets_at": _resets_at(claim),
    }
    message = (
        f"Budget {claim.budget_name!r} has no room for this request, which may cost {details['requested_usd']} USD: "
        f"limit {details['limit_usd']} USD, spent {details['spent_usd']} USD, reserved {details['reserved_usd']} USD, "
        f"resets: {details['resets_at']}."
    )
    error = BudgetExceeded(message, details=details)
    error.provider_id = claim.provider_id
    return error


def _resets_at(claim: BudgetClaim) -> str:
    return "never" if claim.resets_at is None else claim.resets_at.isoformat().replace("+00:00", "Z")
