"""Embeddings as the official SDK and a raw reader see them, and what is refused."""

import math
from typing import Any

import openai
import pytest

from gateway.simulator import Fault, FaultKind, Simulator

SMALL = "text-embedding-3-small"


@pytest.mark.parametrize(
    ("model", "dimensions"), [(SMALL, 1536), ("text-embedding-3-large", 3072), ("text-embedding-ada-002", 1536)]
)
def test_a_vector_has_its_models_length_and_the_norm_one(
    openai_sdk: openai.OpenAI, model: str, dimensions: int
) -> None:
    vector = openai_sdk.embeddings.create(model=model, input="Hello").data[0].embedding
    assert len(vector) == dimensions
    assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-5)


def test_a_shortened_vector_has_the_norm_one_too(openai_sdk: openai.OpenAI) -> None:
    vector = openai_sdk.embeddings.create(model=SMALL, input="Hello", dimensions=8).data[0].embedding
    assert len(vector) == 8
    assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-5)


def test_both_encodings_carry_the_same_vector(openai_sdk: openai.OpenAI) -> None:
    by_default = openai_sdk.embeddings.create(model=SMALL, input="Hello", dimensions=4).data[0].embedding
    as_floats = openai_sdk.embeddings.create(model=SMALL, input="Hello", dimensions=4, encoding_format="float")
    assert as_floats.data[0].embedding == pytest.approx(by_default)


def test_base64_is_what_is_sent_when_asked_for(embeddings_raw: Any) -> None:
    assert isinstance(embeddings_raw.post({"encoding_format": "base64"}).json()["data"][0]["embedding"], str)
    assert isinstance(embeddings_raw.post().json()["data"][0]["embedding"], list)


def test_each_input_gets_its_own_vector_in_order(openai_sdk: openai.OpenAI) -> None:
    data = openai_sdk.embeddings.create(model=SMALL, input=["a", "b", "a"], dimensions=4).data
    assert [one.index for one in data] == [0, 1, 2]
    assert data[0].embedding == data[2].embedding != data[1].embedding


@pytest.mark.parametrize(("given", "vectors", "tokens"), [([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3), ("Hello", 1, 1)])
def test_tokens_are_counted(openai_sdk: openai.OpenAI, given: Any, vectors: int, tokens: int) -> None:
    reply = openai_sdk.embeddings.create(model=SMALL, input=given, dimensions=4)
    assert (len(reply.data), reply.usage.prompt_tokens, reply.usage.total_tokens) == (vectors, tokens, tokens)


def test_the_bill_has_the_input_and_no_output(openai_sdk: openai.OpenAI, simulator: Simulator) -> None:
    usage = openai_sdk.embeddings.create(model=SMALL, input="one two three four").usage
    line = simulator.bill().line("openai", SMALL)
    assert (line.requests, line.input_tokens, line.output_tokens) == (1, usage.prompt_tokens, 0)


def test_the_models_are_listed(openai_sdk: openai.OpenAI) -> None:
    assert SMALL in {model.id for model in openai_sdk.models.list()}
    assert openai_sdk.models.retrieve(SMALL).id == SMALL


def test_the_root_serves_the_same_path(embeddings_raw: Any) -> None:
    embeddings_raw.path = "/v1/embeddings"
    assert embeddings_raw.post().headers["x-request-id"].startswith("req_")


REFUSED: list[tuple[dict[str, Any], str | None, str | None, str]] = [
    # changes to a valid request, param, code, a part of the message
    ({"model": ...}, None, None, "you must provide a model parameter"),
    ({"input": ...}, "input", "missing_required_parameter", "'input'"),
    ({"input": 5}, "input", "invalid_type", "one of a string"),
    ({"input": ""}, "input", None, "cannot be an empty string"),
    ({"input": []}, "input", None, "1 to 2048 inputs"),
    ({"input": ["a"] * 2049}, "input", None, "not of 2049"),
    ({"input": ["a", ""]}, "input", None, "cannot be an empty string"),
    ({"input": ["a", 5]}, "input", None, "all of one kind"),
    ({"input": [[1, -2]]}, "input", None, "all of one kind"),
    ({"input": [1] * 8193}, None, None, "maximum context length is 8192 tokens, however you requested 8193"),
    ({"input": [[1] * 8000] * 38}, None, "max_tokens_per_request", "Requested 304000 tokens, max 300000"),
    ({"encoding_format": "hex"}, "encoding_format", "invalid_value", "'float', and 'base64'"),
    ({"dimensions": 0}, "dimensions", "integer_below_min_value", ">= 1"),
    ({"dimensions": 1537}, "dimensions", "integer_above_max_value", "<= 1536"),
    ({"model": "text-embedding-ada-002", "dimensions": 8}, "dimensions", None, "does not support specifying"),
    ({"user": 5}, "user", "invalid_type", "a string"),
    ({"stream": True}, "stream", "unknown_parameter", "Unknown parameter: 'stream'."),
]


@pytest.mark.parametrize(("changes", "param", "code", "message"), REFUSED)
def test_an_invalid_request_is_a_400_naming_the_field(
    embeddings_raw: Any, changes: dict[str, Any], param: str | None, code: str | None, message: str
) -> None:
    reply = embeddings_raw.post(changes)
    error = reply.json()["error"]
    assert reply.status_code == 400
    assert (error["param"], error["code"], message in error["message"]) == (param, code, True), error


@pytest.mark.parametrize("model", ["gpt-4-turbo", "text-embedding-9"])
def test_a_model_that_embeds_nothing_is_not_found(embeddings_raw: Any, model: str) -> None:
    reply = embeddings_raw.post({"model": model})
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")


def test_a_chat_with_an_embedding_model_is_not_found(openai_raw: Any) -> None:
    assert openai_raw.post({"model": SMALL}).status_code == 404


def test_a_status_is_answered_and_not_billed(embeddings_raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, status=429, retry_after="3"))
    reply = embeddings_raw.post()
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "3")
    assert simulator.bill().line("openai", SMALL).requests == 0


def test_an_answer_without_usage_has_none(embeddings_raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.NO_USAGE))
    assert "usage" not in embeddings_raw.post().json()


def test_faults_of_streams_leave_embeddings_alone(embeddings_raw: Any, simulator: Simulator) -> None:
    for kind in (FaultKind.ERROR_EVENT, FaultKind.NO_TERMINATOR, FaultKind.SLOW_TOKENS):
        simulator.faults.add(Fault(kind=kind, seconds=1))
    assert embeddings_raw.post().status_code == 200
