"""The pool: connections are used again, bounded, and given back."""

from __future__ import annotations

import asyncio

import pytest

from gateway.engine.errors import UpstreamError
from gateway.engine.words import FailureKind, Wire
from gateway.providers import caller as caller_module
from gateway.simulator import Simulator
from tests.providers.conftest import PATHS, CallerFactory, an_ask, target_of
from tests.providers.raw_server import CLOSE, HANG, STREAM_HEAD, WAIT_SECONDS, RawServer, chunked, reply
from tests.providers.test_answers import ANSWER, OK
from tests.providers.test_streams import DONE, FINISH, HEL, read_all
from tests.servers import free_port


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
    await asyncio.wait_for(raw.client_gone.wait(), WAIT_SECONDS)


async def test_a_stream_whose_last_event_came_before_the_bodys_end_gives_its_connection_back_too(
    raw: RawServer, caller_for: CallerFactory
) -> None:
    """Providers send both in one packet or in two; a new TLS connection per stream would be dear."""
    end = asyncio.Event()
    raw.will(STREAM_HEAD + chunked(HEL, FINISH, DONE, end=False), end, b"0\r\n\r\n")
    raw.will(OK)
    caller = caller_for(Wire.OPENAI, raw.url)
    stream = await caller.stream(an_ask(stream=True), target_of(caller))
    await read_all(stream)
    await stream.aclose()
    end.set()
    await caller.idle()
    await caller.answer(an_ask(), target_of(caller))
    assert raw.connections == 1


async def test_a_body_that_never_ends_after_its_last_event_is_given_up(
    raw: RawServer, caller_for: CallerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller_module, "END_OF_BODY_SECONDS", 0.02)
    raw.will(STREAM_HEAD + chunked(HEL, FINISH, DONE, end=False), HANG)
    caller = caller_for(Wire.OPENAI, raw.url)
    stream = await caller.stream(an_ask(stream=True), target_of(caller))
    await read_all(stream)
    await stream.aclose()
    await asyncio.wait_for(raw.client_gone.wait(), WAIT_SECONDS)


async def test_a_body_that_goes_on_after_its_last_event_is_given_up(raw: RawServer, caller_for: CallerFactory) -> None:
    noise = chunked(b": noise\n\n" * 10_000, end=False)
    raw.will(STREAM_HEAD + chunked(HEL, FINISH, DONE, end=False), *[noise] * 50, HANG)
    caller = caller_for(Wire.OPENAI, raw.url)
    stream = await caller.stream(an_ask(stream=True), target_of(caller))
    await read_all(stream)
    await stream.aclose()
    await asyncio.wait_for(caller.idle(), 0.9)
    await asyncio.wait_for(raw.client_gone.wait(), WAIT_SECONDS)


PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_the_environments_proxy_is_used(
    raw: RawServer, caller_for: CallerFactory, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, raw.url)
    raw.will(OK)
    caller = caller_for(Wire.OPENAI, "http://provider.invalid/v1")
    await caller.answer(an_ask(), target_of(caller))
    assert raw.requests[0].line == "POST http://provider.invalid/v1/chat/completions HTTP/1.1"


@pytest.mark.usefixtures("no_proxies")
async def test_hosts_without_a_proxy_are_called_directly(
    raw: RawServer, caller_for: CallerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    raw.will(OK)
    caller = caller_for(Wire.OPENAI, raw.url)
    await caller.answer(an_ask(), target_of(caller))
    assert raw.requests[0].line == "POST /chat/completions HTTP/1.1"


@pytest.mark.usefixtures("no_proxies")
async def test_a_proxy_that_is_away_means_that_nothing_was_sent(
    raw: RawServer, caller_for: CallerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    caller = caller_for(Wire.OPENAI, "http://provider.invalid/v1")
    with pytest.raises(UpstreamError) as caught:
        await caller.answer(an_ask(), target_of(caller))
    assert (caught.value.kind, caught.value.may_be_billed) == (FailureKind.CONNECTION, False)
