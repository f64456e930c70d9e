"""The pool: connections are used again, bounded, and given back."""

from __future__ import annotations

import asyncio

import pytest

from gateway.engine.errors import UpstreamError
from gateway.engine.words import Wire
from gateway.simulator import Simulator
from tests.providers.conftest import PATHS, CallerFactory, an_ask, target_of
from tests.providers.raw_server import CLOSE, STREAM_HEAD, RawServer, chunked, reply
from tests.providers.test_answers import ANSWER, OK
from tests.providers.test_streams import DONE, FINISH, HEL, read_all


async def test_answer_after_answer_uses_one_connection(raw: RawServer, caller_for: CallerFactory) -> None:
    raw.will(OK)
    caller = caller_for(Wire.OPENAI, raw.url)
    for _ in range(10):
        await caller.answer(an_ask(), target_of(caller))
    assert (len(raw.requests), raw.connections) == (10, 1)


async def test_a_refusal_gives_its_connection_back(raw: RawServer, caller_for: CallerFactory) -> None:
    raw.will(reply(429, b'{"error": {}}'))
    caller = caller_for(Wire.OPENAI, raw.url)
    for _ in range(10):
        with pytest.raises(UpstreamError):
            await caller.answer(an_ask(), target_of(caller))
    assert raw.connections == 1


async def test_a_finished_stream_gives_its_connection_back(raw: RawServer, caller_for: CallerFactory) -> None:
    raw.will(STREAM_HEAD + chunked(HEL, FINISH, DONE))
    caller = caller_for(Wire.OPENAI, raw.url)
    for _ in range(10):
        stream = await caller.stream(an_ask(stream=True), target_of(caller))
        await read_all(stream)
        await stream.aclose()
    assert raw.connections == 1


async def test_a_connection_closed_in_between_is_replaced(raw: RawServer, caller_for: CallerFactory) -> None:
    raw.will(reply(200, ANSWER, connection="close"), CLOSE)
    caller = caller_for(Wire.OPENAI, raw.url)
    for _ in range(3):
        await caller.answer(an_ask(), target_of(caller))
    assert raw.connections == 3


async def test_more_calls_than_connections_wait_for_their_turn(raw: RawServer, caller_for: CallerFactory) -> None:
    raw.will(OK)
    caller = caller_for(Wire.OPENAI, raw.url, max_in_flight=5)
    await asyncio.gather(*(caller.answer(an_ask(), target_of(caller)) for _ in range(60)))
    assert (len(raw.requests), raw.connections) == (60, 5)


@pytest.mark.parametrize("kind", list(Wire))
async def test_five_hundred_calls_at_once_are_all_answered(
    simulator: Simulator, caller_for: CallerFactory, kind: Wire
) -> None:
    caller = caller_for(kind, simulator.url + PATHS[kind])
    answers = await asyncio.gather(*(caller.answer(an_ask(kind), target_of(caller)) for _ in range(500)))
    assert len({answer.upstream_id for answer in answers}) == len(simulator.log.rows()) == 500


async def test_two_hundred_streams_at_once_do_not_mix(simulator: Simulator, caller_for: CallerFactory) -> None:
    caller = caller_for(Wire.OPENAI, simulator.url + PATHS[Wire.OPENAI])

    async def one() -> set[bytes]:
        stream = await caller.stream(an_ask(stream=True), target_of(caller))
        events = (await read_all(stream)).split(b"\n\n")
        await stream.aclose()
        return {event[event.index(b'"id":"') + 6 :].split(b'"')[0] for event in events if b'"id":"' in event}

    ids = await asyncio.gather(*(one() for _ in range(200)))
    assert all(len(of_one) == 1 for of_one in ids)
    assert len(set.union(*ids)) == 200


async def test_a_closed_caller_closes_its_connections(raw: RawServer, caller_for: CallerFactory) -> None:
    raw.will(OK)
    caller = caller_for(Wire.OPENAI, raw.url)
    await caller.answer(an_ask(), target_of(caller))
    await caller.aclose()
    await asyncio.wait_for(raw.client_gone.wait(), 5)
