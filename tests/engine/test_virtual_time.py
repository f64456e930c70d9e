"""The tests' own clock: what these tests stand on."""

import asyncio

import pytest

from tests.virtual_time import VirtualLoop


async def test_sleeps_and_time_outs_pass_in_their_order_without_waiting() -> None:
    seen: list[str] = []

    async def after(seconds: float, name: str) -> None:
        await asyncio.sleep(seconds)
        seen.append(name)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2000):
            await asyncio.gather(after(3000, "late"), after(1000, "second"), after(500, "first"))
    assert (seen, asyncio.get_running_loop().time()) == (["first", "second"], 2000.0)


def test_a_deadlock_is_an_error_and_not_a_hang() -> None:
    loop = VirtualLoop()
    never = loop.create_future()
    with pytest.raises(RuntimeError, match="deadlock"):
        loop.run_until_complete(never)
    loop.close()
