"""The rows behind `Idempotency-Key`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from cryptography.fernet import Fernet

from gateway.engine.clock import Clock
from gateway.engine.errors import GatewayError, InvalidRequest, ModelNotFound
from gateway.engine.words import Operation
from gateway.models import IdempotencyRecord
from gateway.services.call import Call
from gateway.services.idempotency import MAX_KEPT_BYTES, Keeper, ReplayedStream, idempotent
from gateway.services.idempotency_claims import (
    LEASE,
    Claimed,
    Mismatch,
    StoredAnswer,
    UnderWay,
    claim,
    release,
    renew,
    store,
)
from gateway.services.idempotency_retention import KEEP, idempotency_expire
from gateway.services.work import PlainReply
from gateway.wires import parse_call

NOW = datetime(2031, 5, 1, tzinfo=UTC)
ANSWER = StoredAnswer("req_a", streamed=False, headers={"x-llmops-cost-usd": "0.1"}, body=b'{"text": "Yes."}')
SCOPE, BODY = "s" * 64, "b" * 64
A_MOMENT = timedelta(seconds=1)

pytestmark = pytest.mark.django_db


def test_the_first_has_it_and_the_second_waits() -> None:
    assert claim(SCOPE, BODY, "a", NOW) == Claimed()
    assert claim(SCOPE, BODY, "b", NOW) == UnderWay()


def test_what_was_stored_is_given_to_the_next() -> None:
    claim(SCOPE, BODY, "a", NOW)
    assert store(SCOPE, "a", ANSWER)
    assert claim(SCOPE, BODY, "b", NOW + KEEP - A_MOMENT) == ANSWER


def test_another_body_is_a_mismatch_also_while_the_first_is_under_way() -> None:
    claim(SCOPE, BODY, "a", NOW)
    assert claim(SCOPE, "c" * 64, "b", NOW) == Mismatch()


def test_what_was_given_up_may_be_claimed() -> None:
    claim(SCOPE, BODY, "a", NOW)
    release(SCOPE, "a")
    assert claim(SCOPE, "c" * 64, "b", NOW) == Claimed()


def test_nobody_gives_up_an_answer_that_is_stored() -> None:
    claim(SCOPE, BODY, "a", NOW)
    store(SCOPE, "a", ANSWER)
    release(SCOPE, "a")
    assert claim(SCOPE, BODY, "b", NOW) == ANSWER


def test_a_claim_ends_with_its_lease_and_not_before() -> None:
    claim(SCOPE, BODY, "a", NOW)
    assert claim(SCOPE, BODY, "b", NOW + LEASE - A_MOMENT) == UnderWay()
    assert claim(SCOPE, BODY, "b", NOW + LEASE) == Claimed()


def test_a_renewed_claim_lasts() -> None:
    claim(SCOPE, BODY, "a", NOW)
    renew(["a"], NOW + LEASE - A_MOMENT)
    assert claim(SCOPE, BODY, "b", NOW + LEASE) == UnderWay()


def test_who_lost_the_claim_stores_nothing() -> None:
    claim(SCOPE, BODY, "a", NOW)
    claim(SCOPE, BODY, "b", NOW + LEASE)
    assert not store(SCOPE, "a", ANSWER)
    release(SCOPE, "a")
    assert claim(SCOPE, BODY, "c", NOW + LEASE) == UnderWay()


def test_after_a_day_the_request_begins_anew() -> None:
    claim(SCOPE, BODY, "a", NOW)
    store(SCOPE, "a", ANSWER)
    assert claim(SCOPE, "c" * 64, "b", NOW + KEEP) == Claimed()


def test_an_answer_that_no_key_opens_is_none(settings: Any) -> None:
    claim(SCOPE, BODY, "a", NOW)
    store(SCOPE, "a", ANSWER)
    settings.LLMOPS_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    assert claim(SCOPE, BODY, "b", NOW) == Claimed()


def test_the_sweep_removes_what_is_over_and_nothing_else() -> None:
    claim(SCOPE, BODY, "a", NOW)
    claim("t" * 64, BODY, "b", NOW + A_MOMENT)
    assert idempotency_expire(now=NOW + KEEP) == 1
    assert IdempotencyRecord.objects.get().scope == "t" * 64


async def test_an_answer_too_large_is_remembered_without_its_body() -> None:
    kept: list[StoredAnswer] = []

    class Records:
        async def store(self, scope: str, owner: str, answer: StoredAnswer) -> None:
            kept.append(answer)

    runtime: Any = SimpleNamespace(idempotency=Records())
    await Keeper(runtime, SCOPE, "req_a").keep({}, b"x" * (MAX_KEPT_BYTES + 1), streamed=False)
    assert [answer.body for answer in kept] == [None]


async def test_a_replayed_stream_does_not_end_at_a_second_blank_line() -> None:
    body = b"data: one\n\n\n\ndata: two\n\ndata: [DONE]\n\n"
    stream = ReplayedStream(body, {}, Clock())
    events = []
    while (event := await stream.read()) is not None:
        events.append(event)
    assert events == [b"data: one\n\n", b"data: two\n\n", b"data: [DONE]\n\n"]


@pytest.mark.parametrize(
    ("key", "model", "error"), [("", "default", InvalidRequest), ("a", "nowhere", ModelNotFound)], ids=["key", "model"]
)
async def test_what_is_refused_before_it_is_claimed_is_remembered_like_any_refusal(
    key: str, model: str, error: type[GatewayError]
) -> None:
    refused: list[GatewayError] = []
    refusals = SimpleNamespace(add=lambda snapshot, call, parsed, error: refused.append(error))
    runtime: Any = SimpleNamespace(refusals=refusals, snapshot=SimpleNamespace(routes={}, direct_targets={}))
    caller: Any = SimpleNamespace(id=5, routes=None, direct_models=False)
    body = orjson.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]})
    call = Call(Operation.CHAT, body, {"idempotency-key": key}, caller, "req_a")

    async def never() -> PlainReply:
        raise AssertionError("nothing is obtained")

    with pytest.raises(error) as raised:
        await idempotent(runtime, call, parse_call(Operation.CHAT, body), never)
    assert refused == [raised.value]
