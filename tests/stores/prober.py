"""One gateway process's breakers, as a program: many tasks ask at once when told to, and it prints how many may probe.

`python -m tests.stores.prober URL TASKS`: prints "ready", waits for a line, prints the number of permits.
"""

from __future__ import annotations

import asyncio
import sys

from gateway.engine.breaker import BreakerChange, Permit
from gateway.engine.clock import SYSTEM_CLOCK
from gateway.stores.redis_breakers import RedisBreakers
from tests.stores.conftest import QUICK


def ignore(change: BreakerChange) -> None:
    """The test asks who may probe, not who tells."""


async def probe(url: str, tasks: int) -> int:
    """The bound is generous: what is judged is who may probe, however busy the machine is."""
    store = RedisBreakers(url, SYSTEM_CLOCK, ignore, timeout_seconds=10.0)
    await store.start([QUICK])
    print("ready", flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.readline)
    admissions = await asyncio.gather(*(store.admit(QUICK, 30) for _ in range(tasks)))
    assert store.status.away_reason is None
    await store.aclose()
    return sum(isinstance(one, Permit) for one in admissions)


if __name__ == "__main__":
    print(asyncio.run(probe(sys.argv[1], int(sys.argv[2]))), flush=True)  # noqa: T201
