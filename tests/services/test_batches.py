"""Batches step by step, in this process: budgets, cancelling, expiry, crashes between two steps."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import redis
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from gateway.engine.batch import BatchState, JobState
from gateway.engine.errors import InvalidRequest
from gateway.engine.words import Operation
from gateway.models import Batch, BatchFileChunk, BatchJob, BatchLine, BudgetWindow, Completion
from gateway.services import batch_intake
from gateway.services.apply import configuration_apply
from gateway.services.batch_create import batch_cancel, batch_create, batches_expire
from gateway.services.batch_files import file_create, file_lines
from gateway.services.batch_sweep import batches_advance
from gateway.services.batch_turn import Turn, TurnLost
from gateway.services.batch_views import content_pieces, result_pieces
from gateway.services.call import Call
from gateway.services.response_cache import answer_slot
from gateway.services.snapshot import ApiKey
from gateway.services.snapshot_load import snapshot_load
from gateway.simulator import Fault, FaultKind, SimulatorThread
from gateway.simulator.server import Simulator
from gateway.stores.answers import CachedAnswer
from gateway.stores.redis_answers import PREFIX, answer_encode
from gateway.wires import parse_call
from tests.gateway_process import AGENT_KEY, GPT_4_TURBO, configuration

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Its batches are done as soon as somebody looks."""
    with SimulatorThread(batch_seconds=0.0) as simulator:
        yield simulator


Configure = Callable[..., ApiKey]


@pytest.fixture
def configure(simulator: Simulator, settings: Any) -> Configure:
    """Applies the tests' configuration and gives the agents' key."""
    settings.LLMOPS_BATCH_RECONCILE_SECONDS = 0

    def apply(**sections: Any) -> ApiKey:
        configuration_apply(json.dumps(configuration(simulator.url, **sections)), actor="tester")
        return next(key for key in snapshot_load().keys.values() if key.name == "agents")

    return apply


@pytest.fixture
def key(configure: Configure) -> ApiKey:
    return configure()


def batch_of(key: ApiKey, *texts: str, model: str = "default") -> Batch:
    lines = [
        json.dumps(
            {
                "custom_id": f"{number}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 50},
            }
        )
        for number, text in enumerate(texts)
    ]
    content = "\n".join(lines).encode()
    file = file_create(key=key, filename="in.jsonl", purpose="batch", pieces=iter([content]), now=timezone.now())
    body = {"input_file_id": file.pk, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    return batch_create(key=key, body=json.dumps(body).encode(), now=timezone.now())


def advance(batch: Batch, times: int = 1) -> Batch:
    for _ in range(times):
        batches_advance()
    batch.refresh_from_db()
    return batch


def reserved() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(SUM(reserved_usd), 0) FROM llmops_budget_window")
        return int(cursor.fetchone()[0])


BUDGET = {"name": "everything", "scope": "global", "window": "total", "enforcement": "block"}


def test_a_budget_without_room_for_the_whole_fails_the_batch_and_nothing_is_sent(
    configure: Configure, simulator: Simulator
) -> None:
    key = configure(budgets=[{**BUDGET, "limit_usd": "0.01"}])
    batch = advance(batch_of(key, *["Hello"] * 20))
    assert (batch.state, batch.errors[0]["code"]) == (BatchState.FAILED.value, "budget_exceeded")
    assert (simulator.batches.charged.total(), reserved()) == (0, 0)


def test_a_budget_is_charged_line_by_line_and_nothing_stays_reserved(configure: Configure) -> None:
    key = configure(budgets=[{**BUDGET, "limit_usd": "10"}])
    batch = advance(batch_of(key, "one", "two"), 3)
    spent = sum(BatchLine.objects.filter(batch=batch).values_list("cost_usd", flat=True))
    assert batch.state == BatchState.COMPLETED.value
    assert (BudgetWindow.objects.get().spent_usd, reserved()) == (spent, 0)


def test_a_created_batch_whose_creator_died_is_found_and_not_made_again(key: ApiKey, simulator: Simulator) -> None:
    batch = batch_of(key, "Hello", model="claude")
    simulator.faults.add(Fault(kind=FaultKind.CUT, provider="anthropic", times=1))
    advance(batch)
    assert BatchJob.objects.get().state == JobState.CREATING.value
    advance(batch, 4)
    assert (batch.state, simulator.batches.charged.total()) == (BatchState.COMPLETED.value, 1)


def test_a_batch_that_the_provider_never_got_is_made_anew(key: ApiKey, simulator: Simulator) -> None:
    batch = batch_of(key, "Hello", model="claude")
    simulator.faults.add(Fault(kind=FaultKind.RESET, provider="anthropic", times=1))
    advance(batch, 6)
    assert (batch.state, simulator.batches.charged.total()) == (BatchState.COMPLETED.value, 1)


def test_results_that_are_collected_again_change_nothing(key: ApiKey) -> None:
    batch = advance(batch_of(key, "one", "two"), 2)
    advance(batch)
    before = list(Completion.objects.order_by("pk").values("pk", "cost_usd", "status"))
    text = b"".join(result_pieces(batch))
    BatchJob.objects.update(state=JobState.ENDED.value)
    Batch.objects.update(ended_at=None, state=BatchState.IN_PROGRESS.value)
    advance(batch)
    assert list(Completion.objects.order_by("pk").values("pk", "cost_usd", "status")) == before
    assert b"".join(result_pieces(batch)) == text


def test_cancelling_before_anything_is_sent_gives_everything_back(configure: Configure, simulator: Simulator) -> None:
    key = configure(budgets=[{**BUDGET, "limit_usd": "10"}])
    batch = batch_of(key, "one", "two")
    batch_cancel(batch)
    advance(batch, 2)
    assert (batch.state, reserved(), simulator.batches.charged.total()) == (BatchState.CANCELLED.value, 0, 0)
    lines = [json.loads(line) for line in b"".join(result_pieces(batch)).splitlines()]
    assert [line["error"]["code"] for line in lines] == ["batch_cancelled"] * 2


def test_an_ended_batch_cannot_be_cancelled(key: ApiKey) -> None:
    batch = advance(batch_of(key, "one"), 3)
    with pytest.raises(InvalidRequest, match="it is completed"):
        batch_cancel(batch)


def test_a_provider_that_never_brings_results_is_booked_at_what_was_reserved(key: ApiKey, simulator: Simulator) -> None:
    batch = advance(batch_of(key, "one"))
    simulator.faults.add(Fault(kind=FaultKind.STATUS, status=503))
    Batch.objects.update(expires_at=timezone.now() - timedelta(days=2))
    advance(batch, 2)
    line = BatchLine.objects.get()
    completion = Completion.objects.get(pk=line.completion_id)
    assert batch.state == BatchState.EXPIRED.value
    assert (completion.status, completion.cost_usd) == ("unknown", line.reserved_usd)


def test_only_one_worker_has_its_turn(key: ApiKey) -> None:
    batch = batch_of(key, "one")
    first, second = Turn(batch), Turn(batch)
    assert (first.take(), second.take()) == (True, False)
    Batch.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert second.take()
    with pytest.raises(TurnLost):
        first.renew()


def test_contents_are_encrypted_at_rest(key: ApiKey) -> None:
    advance(batch_of(key, "a very private question"), 3)
    chunks = [bytes(one) for one in BatchFileChunk.objects.values_list("content", flat=True)]
    lines = [bytes(one) for pair in BatchLine.objects.values_list("request", "result") for one in pair]
    assert not any(b"private question" in one or b"assistant" in one for one in [*chunks, *lines])


def test_a_line_that_crosses_pieces_is_read_whole(key: ApiKey) -> None:
    pieces = iter([b"fir", b"st\nsec", b"ond\n\nlast"])
    file = file_create(key=key, filename="in.jsonl", purpose="batch", pieces=pieces, now=timezone.now())
    assert list(file_lines(file.pk)) == [(1, b"first"), (2, b"second"), (4, b"last")]
    assert b"".join(content_pieces(file)) == b"first\nsecond\n\nlast"


def test_batches_and_their_contents_are_forgotten_after_their_time(key: ApiKey) -> None:
    advance(batch_of(key, "one"), 3)
    batches_expire(now=timezone.now() + timedelta(days=31))
    assert (Batch.objects.count(), BatchLine.objects.count(), BatchFileChunk.objects.count()) == (0, 0, 0)
    assert Completion.objects.count() == 1


CACHED = [{"name": "default", "targets": [GPT_4_TURBO], "cache": {"enabled": True}}]
AGENTS = [{"name": "agents", "key": AGENT_KEY, "team": "research"}]


def kept_answer(key: ApiKey, redis_url: str, text: str) -> None:
    """As a gateway keeps it for a request like the batches' here."""
    snapshot = snapshot_load()
    body = json.dumps({"model": "default", "messages": [{"role": "user", "content": text}], "max_tokens": 50}).encode()
    call = Call(Operation.CHAT, body, {}, key, "req_made_before")
    route = snapshot.routes["default"]
    assert route.cache is not None
    slot = answer_slot(call, parse_call(Operation.CHAT, body), route, route.cache)
    assert slot is not None
    cost_usd = Decimal("0.25")
    answer = CachedAnswer(b'{"id": "kept"}', call.request_id, "openai", "gpt-4-turbo", "stop", cost_usd, time.time())
    with redis.Redis.from_url(redis_url) as client:
        client.set(PREFIX + slot.digest, answer_encode(answer), px=60_000)


@pytest.mark.redis
def test_a_line_that_the_cache_has_an_answer_for_is_not_sent_and_costs_nothing(
    configure: Configure, simulator: Simulator, settings: Any, redis_url: str
) -> None:
    settings.REDIS_URL = redis_url
    key = configure(routes=CACHED, api_keys=AGENTS, budgets=[{**BUDGET, "limit_usd": "10"}])
    kept_answer(key, redis_url, "known")
    batch = advance(batch_of(key, "known", "new"), times=4)
    assert batch.state == BatchState.COMPLETED.value
    hit, sent = (Completion.objects.get(pk=line.completion_id) for line in batch.lines.order_by("number"))
    assert (hit.cache, hit.cost_usd, hit.saved_usd, hit.decision["line"]) == ("hit", 0, Decimal("0.25"), 1)
    assert (sent.cache, sent.provider) == ("bypass", "openai")
    results = b"".join(result_pieces(batch)).splitlines()
    assert json.loads(results[0])["response"]["body"] == {"id": "kept"}
    assert reserved() == 0


@pytest.mark.redis
def test_a_batch_goes_on_without_a_redis_that_is_away(configure: Configure, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    key = configure(routes=CACHED, api_keys=AGENTS)
    assert advance(batch_of(key, "new"), times=4).state == BatchState.COMPLETED.value


def test_a_refused_batch_whose_worker_died_is_refused_even_if_there_is_room_by_then(
    configure: Configure, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines were given back: sent all the same, they would cost money that no budget and no ledger knows."""
    key = configure(budgets=[{**BUDGET, "limit_usd": "0.01"}])
    batch = batch_of(key, *["Hello"] * 20)
    with monkeypatch.context() as dying:
        dying.setattr(batch_intake, "batch_fail", dies)
        advance(batch)
    assert batch.state == BatchState.RESERVING.value
    configure(budgets=[{**BUDGET, "limit_usd": "100"}])
    Batch.objects.update(lease_until=timezone.now())
    advance(batch, 3)
    assert (batch.state, batch.errors[0]["code"]) == (BatchState.FAILED.value, "budget_exceeded")
    assert (simulator.batches.charged.total(), reserved()) == (0, 0)


def test_cancelling_gives_back_what_a_worker_reserved_before_it_died(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(configure(budgets=[{**BUDGET, "limit_usd": "10"}]), "one", "two")
    with monkeypatch.context() as dying:
        dying.setattr(QuerySet, "bulk_update", dies)
        advance(batch)
    assert reserved() > 0
    Batch.objects.update(lease_until=timezone.now())
    batch_cancel(batch)
    advance(batch, 2)
    assert (batch.state, reserved()) == (BatchState.CANCELLED.value, 0)


def test_a_line_that_is_nested_too_deep_fails_its_batch(key: ApiKey) -> None:
    batch = batch_of(key, "one")
    deep = b'{"model": "default", "messages": ' + b"[" * 300 + b"]" * 300 + b"}"
    line = b'{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": ' + deep + b"}"
    file = file_create(key=key, filename="in.jsonl", purpose="batch", pieces=iter([line]), now=timezone.now())
    Batch.objects.update(input_file_id=file.pk)
    advance(batch)
    assert (batch.state, batch.errors[0]["code"]) == (BatchState.FAILED.value, "invalid_json_line")


def dies(*_: Any, **__: Any) -> None:
    raise RuntimeError("the worker is gone")
