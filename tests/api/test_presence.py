"""What is done for a client ends when it leaves, whatever the server tells it by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest

from gateway.api.presence import WHEN_GONE, ClientGone, WhileConnected


class Client:
    """One that can leave; `scope` and `receive` are what its server gives, with our own protocol's extension or not."""

    def __init__(self, *, calls_back: bool) -> None:
        self.left = asyncio.Event()
        self.told: Callable[[], None] | None = None
        self.scope: MutableMapping[str, Any] = {"extensions": {WHEN_GONE: self._when_gone}} if calls_back else {}

    def _when_gone(self, act: Callable[[], None] | None) -> bool:
        self.told = act
        return not self.left.is_set()

    async def receive(self) -> MutableMapping[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    def leave(self) -> None:
        self.left.set()
        if self.told is not None:
            self.told()


async def served(client: Client, work: asyncio.Future[str], after: list[str]) -> str:
    """What `work` gives, or where it ended without; `after` is told once the client isn't watched any more."""
    task = asyncio.current_task()
    assert task is not None
    async with WhileConnected(task, client.scope, client.receive):
        return await work
    after.append("went on")
    await asyncio.sleep(0)
    return f"ended, {task.cancelling()} cancellations left"


@pytest.fixture(params=[True, False], ids=["told by our own protocol", "told by a message"])
def client(request: pytest.FixtureRequest) -> Client:
    return Client(calls_back=request.param)


async def _under_way(client: Client) -> tuple[asyncio.Task[str], asyncio.Future[str], list[str]]:
    work: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    after: list[str] = []
    serving = asyncio.create_task(served(client, work, after))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return serving, work, after


async def test_what_is_under_way_is_cancelled_when_its_client_leaves(client: Client) -> None:
    serving, work, _ = await _under_way(client)
    client.leave()
    await asyncio.wait([serving])
    assert work.cancelled()


async def test_the_cancellation_ends_with_what_was_under_way(client: Client) -> None:
    serving, _, after = await _under_way(client)
    client.leave()
    assert await serving == "ended, 0 cancellations left"
    assert after == ["went on"]


async def test_a_client_that_leaves_after_its_answer_cancels_nothing(client: Client) -> None:
    serving, work, _ = await _under_way(client)
    work.set_result("answer")
    assert await serving == "answer"
    client.leave()
    assert client.told is None


async def test_a_cancellation_by_others_goes_on(client: Client) -> None:
    serving, _, after = await _under_way(client)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert after == []


async def test_a_cancellation_by_others_goes_on_where_the_client_left_as_well(client: Client) -> None:
    serving, _, after = await _under_way(client)
    client.leave()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert after == []


async def test_nothing_is_begun_for_a_client_that_has_left_before() -> None:
    client = Client(calls_back=True)
    client.leave()
    work: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    with pytest.raises(ClientGone):
        await served(client, work, [])
