"""Both providers' batch interfaces as their official SDKs see them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import anthropic
import openai
import pytest

from gateway.simulator import Fault, FaultKind, SimulatorThread
from gateway.simulator.server import Simulator


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Its batches are done as soon as somebody looks."""
    with SimulatorThread(batch_seconds=0.0) as simulator:
        yield simulator


@pytest.fixture
def client(simulator: Simulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{simulator.url}/openai/v1", api_key="sk-simulated", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(simulator: Simulator) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=f"{simulator.url}/anthropic", api_key="sk-simulated", max_retries=0) as client:
        yield client


def line(custom_id: str, text: str = "Hello", **fields: object) -> str:
    body = {"model": "gpt-4-turbo", "messages": [{"role": "user", "content": text}]}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body, **fields})


def create(client: openai.OpenAI, *lines: str) -> openai.types.Batch:
    file = client.files.create(file=("in.jsonl", "\n".join(lines).encode()), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"job": "7"}
    )


def results(client: openai.OpenAI, file_id: str | None) -> dict[str, dict[str, object]]:
    assert file_id is not None
    text = client.files.content(file_id).text
    return {one["custom_id"]: one for one in map(json.loads, text.splitlines())}


def test_a_batch_of_openai_ends_with_an_output_file(client: openai.OpenAI) -> None:
    batch = create(client, line("a", "[[say: one]]"), line("b", "[[say: two]]"))
    found = results(client, batch.output_file_id)
    said = {name: one["response"]["body"]["choices"][0]["message"]["content"] for name, one in found.items()}  # type: ignore[index]
    assert (batch.status, batch.error_file_id, said) == ("completed", None, {"a": "one", "b": "two"})


def test_lines_are_billed_apart_at_batch_prices(client: openai.OpenAI, simulator: Simulator) -> None:
    create(client, line("a"), line("b"))
    bill = simulator.bill()
    assert bill.line("openai", "gpt-4-turbo", batch=True).requests == 2
    assert bill.line("openai", "gpt-4-turbo").requests == 0


def test_a_line_that_the_model_refuses_stands_in_the_error_file(client: openai.OpenAI, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, model="gpt-4-turbo", times=1, status=500))
    batch = create(client, line("a"), line("b"))
    assert set(results(client, batch.output_file_id)) == {"b"}
    assert results(client, batch.error_file_id)["a"]["response"]["status_code"] == 500  # type: ignore[index]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ("{", "invalid_json_line"),
        ('{"custom_id": "x"}', "missing_required_parameter"),
        (line("a"), "duplicate_custom_id"),
        (line("x", url="/v1/embeddings"), "mismatched_endpoint"),
        (line("x", method="GET"), "invalid_method"),
    ],
)
def test_a_bad_line_fails_the_whole_batch_and_is_named(client: openai.OpenAI, bad: str, code: str) -> None:
    batch = create(client, line("a"), bad)
    assert batch.status == "failed"
    assert batch.errors is not None
    assert batch.errors.data is not None
    assert [(one.code, one.line) for one in batch.errors.data] == [(code, 2)]


def test_what_an_expired_batch_did_not_do_stands_in_its_error_file(client: openai.OpenAI, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.BATCH_EXPIRES, after_lines=1))
    batch = create(client, line("a"), line("b"))
    assert (batch.status, set(results(client, batch.output_file_id))) == ("expired", {"a"})
    assert results(client, batch.error_file_id)["b"]["error"]["code"] == "batch_expired"  # type: ignore[index]


def test_a_batch_made_in_spite_of_a_cut_connection_is_found_by_its_metadata(
    client: openai.OpenAI, simulator: Simulator
) -> None:
    file = client.files.create(file=("in.jsonl", line("a").encode()), purpose="batch")
    simulator.faults.add(Fault(kind=FaultKind.CUT, times=1))
    with pytest.raises(openai.APIConnectionError):
        client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"job": "7"}
        )
    assert [batch.metadata for batch in client.batches.list()] == [{"job": "7"}]


def requests(*ids: str) -> list[anthropic.types.messages.batch_create_params.Request]:
    params = {
        "model": "claude-3-5-sonnet-20241022",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "[[say: good]]"}],
    }
    return [{"custom_id": one, "params": params} for one in ids]  # type: ignore[typeddict-item]


def test_a_message_batch_ends_with_results(claude: anthropic.Anthropic, simulator: Simulator) -> None:
    made = claude.messages.batches.create(requests=requests("a", "b"))
    batch = claude.messages.batches.retrieve(made.id)
    found = {one.custom_id: one.result.type for one in claude.messages.batches.results(batch.id)}
    assert (batch.processing_status, found) == ("ended", {"a": "succeeded", "b": "succeeded"})
    assert simulator.bill().line("anthropic", "claude-3-5-sonnet-20241022", batch=True).requests == 2


def test_an_expired_message_batch_says_which_lines_it_left_out(
    claude: anthropic.Anthropic, simulator: Simulator
) -> None:
    simulator.faults.add(Fault(kind=FaultKind.BATCH_EXPIRES, after_lines=1))
    made = claude.messages.batches.create(requests=requests("a", "b"))
    found = {one.custom_id: one.result.type for one in claude.messages.batches.results(made.id)}
    assert found == {"a": "succeeded", "b": "expired"}


def test_a_message_batch_needs_ids_that_differ(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="custom_id must be unique"):
        claude.messages.batches.create(requests=requests("a", "a"))


def test_a_cancelled_message_batch_does_no_more() -> None:
    with (
        SimulatorThread(batch_seconds=3600.0) as simulator,
        anthropic.Anthropic(base_url=f"{simulator.url}/anthropic", api_key="sk-simulated") as claude,
    ):
        made = claude.messages.batches.create(requests=requests("a", "b"))
        claude.messages.batches.cancel(made.id)
        found = [one.result.type for one in claude.messages.batches.results(made.id)]
        assert (found, simulator.batches.charged.total()) == (["canceled", "canceled"], 0)
