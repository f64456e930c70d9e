"""Who fits a budget: the decision, on whole pico-dollars, without a database. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gateway.engine.errors import BudgetExceeded
from gateway.ledger.money import pico_to_usd, usd_text
from gateway.ledger.records import BudgetCheck, BudgetClaim
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


class Verdict(StrEnum):
    """What a budget says to a claim. `OVER`: it doesn't fit, but this budget only alerts."""

    FITS = "fits"
    OVER = "over"
    STEP_DOWN = "step_down"
    NO_ROOM = "no_room"


# Looked up once: this runs for every request.
_FITS, _OVER = Verdict.FITS.value, Verdict.OVER.value


@dataclass(frozen=True, slots=True)
class Refusal:
    """The first claim that wasn't granted, and the window as it stood without it."""

    claim: ClaimRow
    state: WindowState
    verdict: Verdict


class NotGranted(BudgetExceeded):
    """A claim that was refused, or sent back for a cheaper plan, with what is needed to ask for less.

    `checks` are what the budgets said: those asked before, if they didn't grant it either, and this one.
    """

    def __init__(self, message: str, *, details: Mapping[str, str], refusal: Refusal) -> None:
        super().__init__(message, details=details)
        claim, state = refusal.claim.claim, refusal.state
        self.claim = claim
        self.verdict = refusal.verdict
        self.room_usd = pico_to_usd(max(0, refusal.claim.limit - state.taken))
        self.provider_id = claim.provider_id
        self.checks: tuple[BudgetCheck, ...] = (BudgetCheck(claim, state.spent, state.reserved, refusal.verdict.value),)


def all_fit(opens: Sequence[Asking], states: Mapping[WindowKey, WindowState]) -> bool:
    """Whether every claim is granted even with all the others of `opens` counted before it, as `states` do."""
    return all(
        _verdict(claim, states[claim.key].taken - claim.amount) is Verdict.FITS for row in opens for claim in row.claims
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
        verdict = _verdict(claim, state.taken)
        if verdict is not Verdict.FITS:
            return Refusal(claim, state, verdict)
    return None


def _verdict(claim: ClaimRow, taken: int) -> Verdict:
    """What the window says to this claim when so much is taken of it."""
    if not claim.amount:
        return Verdict.FITS
    if claim.claim.blocking and taken + claim.amount > claim.limit:
        return Verdict.NO_ROOM
    if claim.step_down_at is not None and taken >= claim.step_down_at:
        return Verdict.STEP_DOWN
    return Verdict.FITS


def granted_checks(claims: Sequence[BudgetClaim], windows: Sequence[tuple[int, int]]) -> tuple[BudgetCheck, ...]:
    """What the budgets said to an intent that was opened; nothing where the answer tells no windows."""
    if len(windows) != len(claims):
        return ()
    return tuple(
        [
            BudgetCheck(claim, spent, reserved, _FITS if claim.blocking else _counted(claim, spent + reserved))
            for claim, (spent, reserved) in zip(claims, windows, strict=True)
        ]
    )


def _counted(claim: BudgetClaim, taken: int) -> str:
    """The word of a budget that only alerts."""
    return _FITS if pico_to_usd(taken) + claim.amount_usd <= claim.limit_usd else _OVER


def budget_exceeded(refusal: Refusal) -> NotGranted:
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
    return NotGranted(message, details=details, refusal=refusal)


def _resets_at(claim: BudgetClaim) -> str:
    return "never" if claim.resets_at is None else claim.resets_at.isoformat().replace("+00:00", "Z")
