"""A process of its own that asks for room in a budget: `python -m tests.ledger.hammer NAME COUNT`.

Reads a DATABASES entry from its input, prints how many of its requests were admitted. Every other one is settled at a
third of its reservation.
"""

from __future__ import annotations

import asyncio
import json
import sys

from gateway.engine.errors import BudgetExceeded
from gateway.ledger.connections import ledger_connections, ledger_lock_path
from gateway.ledger.writer import LedgerWriter
from tests.ledger.books import claim, intent, settlement


async def hammer(writer: LedgerWriter, name: str, count: int) -> int:
    outcomes = await asyncio.gather(*(ask(writer, f"{name}_{number}", number) for number in range(count)))
    return sum(outcomes)


async def ask(writer: LedgerWriter, identity: str, number: int) -> bool:
    try:
        await writer.open(intent(identity, claim("0.03"), conversation=f"c{number % 7}"))
    except BudgetExceeded:
        return False
    if number % 2:
        await writer.settle(settlement(identity, "0.01"))
    return True


def main() -> None:
    name, count = sys.argv[1], int(sys.argv[2])
    database = json.load(sys.stdin)
    writer = LedgerWriter(ledger_connections(database), lock_path=ledger_lock_path(database), answer_within_seconds=60)
    writer.start()
    admitted = asyncio.run(hammer(writer, name, count))
    writer.stop()
    sys.stdout.write(f"{admitted}\n")


if __name__ == "__main__":
    main()
