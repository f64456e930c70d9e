"""What the budgets said to one completion when it began, as it was stored with it (`gateway.ledger.rows`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from gateway.ledger.money import pico_to_usd

_ZERO_USD = Decimal(0)


@dataclass(frozen=True, slots=True)
class StoredCheck:
    """One budget's word. Amounts are those of that moment, without the completion's own claim.

    `verdict` is `fits`, `over` (of a budget that only alerts), `step_down` or `no_room`; after the last two the request
    was asked for in another way.
    """

    budget_id: int
    budget: str
    subject: str
    window_starts_at: datetime | None
    resets_at: datetime | None
    blocking: bool
    limit_usd: Decimal
    spent_usd: Decimal
    reserved_usd: Decimal
    claimed_usd: Decimal
    verdict: str

    @property
    def room_usd(self) -> Decimal:
        """What was left for this claim."""
        return max(_ZERO_USD, self.limit_usd - self.spent_usd - self.reserved_usd)


def stored_checks(kept: object) -> tuple[StoredCheck, ...]:
    """From `Completion.budget_checks`, in the order in which the budgets were asked."""
    return tuple(_stored(one) for one in kept) if isinstance(kept, list) else ()


def _stored(one: Mapping[str, Any]) -> StoredCheck:
    return StoredCheck(
        budget_id=one["budget_id"],
        budget=one["budget"],
        subject=one["subject"],
        window_starts_at=_moment(one["starts_at"]),
        resets_at=_moment(one["resets_at"]),
        blocking=one["blocking"],
        limit_usd=pico_to_usd(one["limit"]),
        spent_usd=pico_to_usd(one["spent"]),
        reserved_usd=pico_to_usd(one["reserved"]),
        claimed_usd=pico_to_usd(one["claimed"]),
        verdict=one["verdict"],
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
