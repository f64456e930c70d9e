"""The extensions of a group: what each lacks of the room it asks for, and how it is taken and given back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gateway.ledger.database import LedgerConnection, Row
from gateway.ledger.rows import ClaimRow, ExtensionRow, WindowKey
from gateway.ledger.statements import Statements


@dataclass(frozen=True, slots=True)
class Raise:
    """An extension of a completion that is open: `claims` are what it lacks, `reserved_before` in pico-dollars."""

    row: ExtensionRow
    claims: tuple[ClaimRow, ...]
    reserved_before: int

    @property
    def id(self) -> str:
        return self.row.id


class Extending:
    """Writes the rows of single completions; the windows are left to the group."""

    def __init__(self, connection: LedgerConnection, statements: Statements) -> None:
        self._connection = connection
        self._statements = statements

    def extend(self, rows: Sequence[ExtensionRow]) -> list[Raise | None]:
        """Take the room; None for a completion that isn't open (any more)."""
        if not rows:
            return []
        ids: list[Row] = [(row.id,) for row in rows]
        # The completions are locked first, as by settlements: afterwards nobody else touches their reservations.
        reserved = self._connection.fetch_each(self._statements.reserved_read, ids)
        held = self._connection.fetch_each(self._statements.reservation_read, ids)
        found = [
            Raise(row, _lacking(row, holds), before[0][0]) if before else None
            for row, before, holds in zip(rows, reserved, held, strict=True)
        ]
        raises = [one for one in found if one is not None]
        self._write((max(one.row.reserved, one.reserved_before), one.id) for one in raises)
        self._add(raises, 1)
        return found

    def undo(self, raises: Sequence[Raise]) -> None:
        self._write((one.reserved_before, one.id) for one in raises)
        self._add(raises, -1)

    def _write(self, reserved: Iterable[Row]) -> None:
        self._connection.run(self._statements.reserved_set, list(reserved))

    def _add(self, raises: Iterable[Raise], sign: int) -> None:
        rows: list[Row] = [(sign * claim.amount, one.id, *claim.key) for one in raises for claim in one.claims]
        self._connection.run(self._statements.reservation_add, rows)


def _lacking(row: ExtensionRow, held: Sequence[Row]) -> tuple[ClaimRow, ...]:
    amounts: dict[WindowKey, int] = {(budget_id, subject, epoch): amount for budget_id, subject, epoch, amount in held}
    return tuple(
        replace(claim, amount=claim.amount - amounts[claim.key])
        for claim in row.claims
        if claim.key in amounts and claim.amount > amounts[claim.key]
    )
