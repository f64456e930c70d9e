"""Batches through the official SDKs: made, answered at the providers' batch price, and given to nobody else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest

from gateway.simulator import Fault, FaultKind, SimulatorThread
from gateway.simulator.server import Simulator
from tests.batch_worker import batch_worker
from tests.gateway_process import AGENT_KEY, OTHER_TEAM_KEY, GatewayProcess, configuration, gateway_process

DONE_SECONDS = 30.0
# Dollars per token at half the list price (tests.gateway_process.configuration).
GPT_IN, GPT_OUT = 5e-6, 15e-6


@pytest.fixture(scope="module")
def _upstream() -> Iterator[Simulator]:
    with SimulatorThread(batch_seconds=0.2) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def _served(_upstream: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("batches")
    document = configuration(_upstream.url)
    for price in document["prices"]:
        price["batch_factor"] = "0.5"
    with (
        gateway_process(folder, document) as gateway,
        batch_worker(gateway.data_dir, folder / "worker.log", LLMOPS_BATCH_PATIENCE_SECONDS="0"),
    ):
        yield gateway


@pytest.fixture
def upstream(_upstream: Simulator) -> Simulator:
    _upstream.reset()
    return _upstream


@pytest.fixture
def gateway(_served: GatewayProcess, upstream: Simulator) -> GatewayProcess:
    return _served


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=AGENT_KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def claude(gateway: GatewayProcess) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=AGENT_KEY, max_retries=0) as client:
        yield client


def line(custom_id: str, model: str = "default", text: str = "Hello", **body: Any) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": text}], **body}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body})


def make(client: openai.OpenAI, *lines: str) -> openai.types.Batch:
    file = client.files.create(file=("in.jsonl", "\n".join(lines).encode()), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"mine": "yes"}
    )


def until(ended: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
    """The batch once it has ended; the wait ends with that."""
    deadline = time.monotonic() + DONE_SECONDS
    while not done(batch := ended()):
        assert time.monotonic() < deadline, batch
        time.sleep(0.05)
    return batch


def ended(client: openai.OpenAI, batch: openai.types.Batch) -> openai.types.Batch:
    last = ("completed", "failed", "expired", "cancelled")
    found: openai.types.Batch = until(lambda: client.batches.retrieve(batch.id), lambda one: one.status in last)
    return found


def results(client: openai.OpenAI, file_id: str | None) -> dict[str, dict[str, Any]]:
    assert file_id is not None
    return {one["custom_id"]: one for one in map(json.loads, client.files.content(file_id).text.splitlines())}


def said(result: dict[str, Any]) -> str:
    return str(result["response"]["body"]["choices"][0]["message"]["content"])


def test_a_batch_of_openai_ends_with_an_answer_for_each_line(client: openai.OpenAI) -> None:
    batch = ended(client, make(client, line("a", text="[[say: one]]"), line("b", text="[[say: two]]")))
    found = results(client, batch.output_file_id)
    assert (batch.status, batch.metadata, batch.error_file_id) == ("completed", {"mine": "yes"}, None)
    assert {name: said(one) for name, one in found.items()} == {"a": "one", "b": "two"}


def test_each_line_is_a_completion_at_the_batch_price(client: openai.OpenAI, gateway: GatewayProcess) -> None:
    batch = ended(client, make(client, line("a", text="[[tokens: 20]]")))
    result = results(client, batch.output_file_id)["a"]["response"]
    usage = result["body"]["usage"]
    told = gateway.get(f"/api/completions/{result['request_id']}")
    assert float(told["cost_usd"]) == pytest.approx(
        usage["prompt_tokens"] * GPT_IN + usage["completion_tokens"] * GPT_OUT
    )


def test_a_line_goes_to_a_provider_of_the_other_wire_translated(client: openai.OpenAI, upstream: Simulator) -> None:
    batch = ended(client, make(client, line("a", model="claude", text="[[say: from Claude]]", temperature=0.3)))
    assert said(results(client, batch.output_file_id)["a"]) == "from Claude"
    assert upstream.bill().line("anthropic", "claude-3-5-sonnet-20241022", batch=True).requests == 1


def test_a_line_that_cannot_be_served_stands_in_the_error_file(client: openai.OpenAI) -> None:
    batch = ended(client, make(client, line("good"), line("bad", model="nobody-has-this")))
    assert set(results(client, batch.output_file_id)) == {"good"}
    refused = results(client, batch.error_file_id)["bad"]["response"]
    assert (refused["status_code"], refused["body"]["error"]["code"]) == (404, "model_not_found")


def test_a_file_with_a_bad_line_fails_the_batch_and_names_the_line(client: openai.OpenAI) -> None:
    batch = ended(client, make(client, line("a"), "{", line("a")))
    assert batch.errors is not None
    assert [(one.code, one.line) for one in batch.errors.data or []] == [
        ("invalid_json_line", 2),
        ("duplicate_custom_id", 3),
    ]


def test_what_the_provider_refuses_of_a_line_is_its_result(client: openai.OpenAI) -> None:
    batch = ended(client, make(client, line("a", temperature=9)))
    refused = results(client, batch.error_file_id)["a"]["response"]
    assert (batch.status, refused["status_code"]) == ("completed", 400)


def test_what_the_provider_left_out_runs_by_itself(client: openai.OpenAI, upstream: Simulator) -> None:
    upstream.faults.add(Fault(kind=FaultKind.BATCH_EXPIRES, after_lines=1))
    batch = ended(client, make(client, line("a"), line("b")))
    assert set(results(client, batch.output_file_id)) == {"a", "b"}
    bill = upstream.bill()
    assert bill.line("openai", "gpt-4-turbo", batch=True).requests == 1
    assert bill.line("openai", "gpt-4-turbo").requests == 1


def test_without_a_provider_that_takes_batches_lines_run_on_the_route(
    client: openai.OpenAI, upstream: Simulator
) -> None:
    upstream.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))
    batch = ended(client, make(client, line("a", text="[[say: from the fallback]]")))
    assert said(results(client, batch.output_file_id)["a"]) == "from the fallback"


def test_files_and_batches_of_a_team_are_nobody_elses(client: openai.OpenAI, gateway: GatewayProcess) -> None:
    batch = ended(client, make(client, line("a")))
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=OTHER_TEAM_KEY, max_retries=0) as other:
        with pytest.raises(openai.NotFoundError):
            other.batches.retrieve(batch.id)
        with pytest.raises(openai.NotFoundError):
            other.files.content(batch.input_file_id)
        assert other.batches.list().data == []


def test_a_file_is_read_and_deleted(client: openai.OpenAI) -> None:
    file = client.files.create(file=("in.jsonl", b"one\ntwo"), purpose="batch")
    assert client.files.content(file.id).content == b"one\ntwo"
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def params(text: str, model: str = "claude") -> Any:
    return {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": text}]}


def message_batch(claude: anthropic.Anthropic, *requests: tuple[str, Any]) -> Any:
    made = claude.messages.batches.create(requests=[{"custom_id": name, "params": one} for name, one in requests])
    return until(lambda: claude.messages.batches.retrieve(made.id), lambda batch: batch.processing_status == "ended")


def test_a_message_batch_is_answered_by_both_providers(claude: anthropic.Anthropic, upstream: Simulator) -> None:
    batch = message_batch(claude, ("a", params("[[say: one]]")), ("b", params("[[say: two]]", model="default")))
    found = {one.custom_id: one.result for one in claude.messages.batches.results(batch.id)}
    assert {name: result.message.content[0].text for name, result in found.items()} == {"a": "one", "b": "two"}  # type: ignore[union-attr]
    assert upstream.batches.charged.total() == 2


def test_a_message_batch_tells_which_requests_failed(claude: anthropic.Anthropic) -> None:
    batch = message_batch(claude, ("a", params("Hello")), ("b", params("Hello", model="nobody-has-this")))
    found = {one.custom_id: one.result.type for one in claude.messages.batches.results(batch.id)}
    assert (found, batch.request_counts.errored) == ({"a": "succeeded", "b": "errored"}, 1)


def test_a_message_batch_names_the_request_that_is_wrong(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match=r"requests.1.custom_id"):
        claude.messages.batches.create(
            requests=[{"custom_id": "a", "params": params("x")}, {"custom_id": "a", "params": params("y")}]
        )


def test_an_ended_message_batch_is_listed_and_deleted(claude: anthropic.Anthropic) -> None:
    batch = message_batch(claude, ("a", params("Hello")))
    assert batch.id in [one.id for one in claude.messages.batches.list()]
    claude.messages.batches.delete(batch.id)
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.batches.retrieve(batch.id)


@pytest.mark.parametrize("path", ["/files/%00", "/batches/%00", "/batches?after=%00"])
def test_an_id_that_no_database_takes_is_not_found(client: openai.OpenAI, path: str) -> None:
    with pytest.raises(openai.NotFoundError):
        client.get(path, cast_to=object)


def test_a_form_with_thousands_of_fields_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="too many fields"):
        client.files.create(
            file=("in.jsonl", b"{}"), purpose="batch", extra_body={f"field{n}": "1" for n in range(3000)}
        )
