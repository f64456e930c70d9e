"""Something breaks beneath a fleet while agents ask: what they got, and what it left in the books."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from tests.chaos.books import Books, settled_books
from tests.chaos.clients import Agents, Kind, Result, Sdk, agents
from tests.chaos.fleet import Fleet

AT_ONCE = 12
PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 45.0


@dataclass(frozen=True, slots=True)
class Outcome:
    results: list[Result]
    books: Books

    @property
    def kinds(self) -> Counter[Kind]:
        return Counter(result.kind for result in self.results)

    def of(self, kind: Kind) -> list[Result]:
        return [result for result in self.results if result.kind is kind]

    def other_than(self, *kinds: Kind, statuses: Collection[int] = ()) -> list[str]:
        """What no agent should have got; errors only with one of these statuses, where any are given."""
        return [
            f"{result.kind.value} {result.status} {result.code}: {result.error or result.text}"
            for result in self.results
            if result.kind not in kinds or (result.kind is Kind.ERROR and statuses and result.status not in statuses)
        ]


async def while_asking(running: Fleet, route: str, seed: int, breaks: Callable[[], Awaitable[None]]) -> Outcome:
    """`ask_while` at all processes of a fleet, and the books when everything has come to rest."""
    results = await ask_while(running.urls, route, seed, breaks)
    return Outcome(results, await asyncio.to_thread(settled_books, running.data_dir))


async def ask_while(
    urls: tuple[str, ...], route: str, seed: int, breaks: Callable[[], Awaitable[None]]
) -> list[Result]:
    """Twelve agents ask, with both SDKs, streamed and not, from before `breaks` until after it has returned."""
    draw = random.Random(seed)
    results: list[Result] = []
    over = asyncio.Event()

    async def agent(clients: list[Agents]) -> None:
        while not over.is_set():
            client, sdk = draw.choice(clients), draw.choice(list(Sdk))
            results.append(await client.ask(sdk, route, stream=draw.random() < 0.5))
            await asyncio.sleep(PAUSE_SECONDS)

    async with agents(urls, PATIENCE_SECONDS) as clients, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(agent(clients))
        try:
            await breaks()
        finally:
            over.set()
    return results
