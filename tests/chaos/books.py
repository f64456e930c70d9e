"""What the database says when everything has come to rest, read past Django as an auditor would."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

SETTLE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Books:
    """Amounts in whole pico-dollars, as they are stored. `fell_back_answered` ended in an answer; `sent`
    are calls made, by provider."""

    completions: int
    pending: int
    fell_back: int
    fell_back_answered: int
    sent: dict[str, int]
    most_attempts: int
    cost_pico: int
    attempts_pico: int
    orphans_pico: int
    spent_pico: int
    reserved_pico: int
    openings: dict[str, int]

    @property
    def problems(self) -> list[str]:
        """What must hold whatever happened: everything settled, nothing reserved, the sums equal."""
        found = []
        if self.pending:
            found.append(f"{self.pending} completions are still pending")
        if self.reserved_pico:
            found.append(f"{self.reserved_pico} pico-dollars are still reserved")
        for name, amount_pico in (
            ("attempts and orphans", self.attempts_pico + self.orphans_pico),
            ("budget windows", self.spent_pico),
        ):
            if amount_pico != self.cost_pico:
                found.append(f"{name} sum up to {amount_pico} pico-dollars, completions to {self.cost_pico}")
        return found


def read_books(data_dir: Path) -> Books:
    with closing(sqlite3.connect(data_dir / "llmops.sqlite3", timeout=SETTLE_SECONDS)) as connection:

        def one(sql: str) -> int:
            (value,) = connection.execute(sql).fetchone()
            return int(value or 0)

        def by_name(sql: str) -> dict[str, int]:
            return dict(connection.execute(sql).fetchall())

        completions = "SELECT count(*) FROM llmops_completion"
        return Books(
            completions=one(completions),
            pending=one(f"{completions} WHERE status = 'pending'"),
            fell_back=one(f"{completions} WHERE fell_back AND status IN ('answered', 'failed')"),
            fell_back_answered=one(f"{completions} WHERE fell_back AND status = 'answered'"),
            sent=by_name("SELECT provider, count(*) FROM llmops_attempt WHERE outcome <> 'skipped' GROUP BY provider"),
            most_attempts=one("SELECT max(attempt_count) FROM llmops_completion"),
            cost_pico=one("SELECT sum(cost_usd) FROM llmops_completion"),
            attempts_pico=one("SELECT sum(cost_usd) FROM llmops_attempt"),
            orphans_pico=one("SELECT sum(cost_usd) FROM llmops_completion WHERE status = 'unknown'"),
            spent_pico=one("SELECT sum(spent_usd) FROM llmops_budget_window"),
            reserved_pico=one("SELECT sum(reserved_usd) FROM llmops_budget_window"),
            openings=by_name(
                "SELECT provider, count(*) FROM llmops_breaker_transition WHERE to_state = 'open' GROUP BY provider"
            ),
        )


def settled_books(data_dir: Path, seconds: float = SETTLE_SECONDS) -> Books:
    """The books once nothing is pending, or as they are when that takes too long."""
    end = time.monotonic() + seconds
    while (books := read_books(data_dir)).pending and time.monotonic() < end:
        time.sleep(0.1)
    return books


def budget_of_all() -> dict[str, object]:
    """One budget under which everything falls, so that reservations and spend can be seen."""
    return {"name": "all", "scope": "global", "window": "total", "limit_usd": "100000", "enforcement": "block"}


def joined(problems: Sequence[str]) -> str:
    return "; ".join(problems) or "ok"
