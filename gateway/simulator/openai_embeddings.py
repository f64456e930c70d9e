"""OpenAI's Embeddings: vectors drawn from the text, so the same input always gets the same one."""

import base64
import hashlib
import math
import random
import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson

from gateway.simulator.bill import Usage
from gateway.simulator.catalogue import EMBEDDING_MODELS, EmbeddingModel
from gateway.simulator.errors import InvalidRequest, WireError
from gateway.simulator.openai_account import OpenAIAccount, error_fields, no_such_model, response_headers
from gateway.simulator.openai_values import check_choice, check_integer, check_type, missing, wrong_type
from gateway.simulator.reply import Event, Reply
from gateway.simulator.tokens import count

MAX_INPUTS = 2048
MAX_INPUT_TOKENS = 8192
MAX_REQUEST_TOKENS = 300_000
_MAX_TOKEN_ID = 200_000
_PARAMETERS = ("dimensions", "encoding_format", "input", "model", "user")

Input = str | list[int]


class EmbeddingsWire(OpenAIAccount):
    """The Embeddings endpoint. Errors leave as `WireError`."""

    def prepare(self, body: dict[str, Any], raw: bytes, headers: Mapping[str, str]) -> Reply:
        model = _check(body)
        inputs = _inputs(body)
        tokens = _tokens(inputs)
        dimensions = body.get("dimensions") or model.dimensions
        as_base64 = body.get("encoding_format") == "base64"

        def plain(with_usage: bool) -> bytes:
            data = [
                {"object": "embedding", "index": index, "embedding": _encoded(model.id, one, dimensions, as_base64)}
                for index, one in enumerate(inputs)
            ]
            told: dict[str, Any] = {"object": "list", "data": data, "model": model.id}
            if with_usage:
                told["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
            return orjson.dumps(told)

        return Reply(
            model=model.id,
            stream=False,
            usage=Usage(tokens, 0),
            headers=response_headers(),
            plain=plain,
            events=_no_events,
            malformed_event=b"",
            failure=lambda error: orjson.dumps({"error": error_fields(error)}),
        )


def _no_events(with_usage: bool) -> Iterator[Event]:
    return iter(())


def _check(body: Mapping[str, Any]) -> EmbeddingModel:
    for name in body:
        if name not in _PARAMETERS:
            raise InvalidRequest(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    model = _model(body.get("model"))
    if body.get("encoding_format") is not None:
        check_choice("encoding_format", body["encoding_format"], ("float", "base64"))
    if body.get("user") is not None:
        check_type("user", body["user"], str)
    if body.get("dimensions") is not None:
        if not model.shortens:
            raise InvalidRequest("This model does not support specifying dimensions.", param="dimensions")
        check_integer("dimensions", body["dimensions"], 1, model.dimensions)
    return model


def _model(name: Any) -> EmbeddingModel:
    if name is None or name == "":
        raise InvalidRequest("you must provide a model parameter")
    if not isinstance(name, str):
        raise wrong_type("model", "a string", name)
    model = EMBEDDING_MODELS.get(name)
    if model is None:
        raise no_such_model(name)
    return model


def _inputs(body: Mapping[str, Any]) -> list[Input]:
    """One string or token list per vector wanted. Raises `InvalidRequest`."""
    given = body.get("input")
    if given is None:
        raise missing("input")
    if isinstance(given, list) and given and _is_tokens(given):
        given = [given]
    inputs = [given] if isinstance(given, str) else given
    if not isinstance(inputs, list):
        raise wrong_type("input", "one of a string, array of strings, array of integers, or array of arrays", given)
    if not 1 <= len(inputs) <= MAX_INPUTS:
        raise _invalid_input(f"an array of 1 to {MAX_INPUTS} inputs is expected, not of {len(inputs)}")
    strings = isinstance(inputs[0], str)
    for one in inputs:
        if not (isinstance(one, str) if strings else isinstance(one, list) and _is_tokens(one)):
            raise _invalid_input("strings, or lists of token numbers, are expected, all of one kind")
        if not one:
            raise _invalid_input("input cannot be an empty string or an empty list")
    return inputs


def _is_tokens(given: list[Any]) -> bool:
    return all(type(one) is int and 0 <= one < _MAX_TOKEN_ID for one in given)


def _invalid_input(why: str) -> InvalidRequest:
    return InvalidRequest(f"'$.input' is invalid: {why}.", param="input")


def _tokens(inputs: list[Input]) -> int:
    sizes = [count(one) if isinstance(one, str) else len(one) for one in inputs]
    if max(sizes) > MAX_INPUT_TOKENS:
        raise InvalidRequest(
            f"This model's maximum context length is {MAX_INPUT_TOKENS} tokens, however you requested {max(sizes)} "
            f"tokens ({max(sizes)} in your prompt; 0 for the completion). Please reduce your prompt; or completion "
            "length."
        )
    if sum(sizes) > MAX_REQUEST_TOKENS:
        raise WireError(
            400,
            "max_tokens_per_request",
            f"Requested {sum(sizes)} tokens, max {MAX_REQUEST_TOKENS} tokens per request",
            code="max_tokens_per_request",
        )
    return sum(sizes)


def _encoded(model: str, one: Input, dimensions: int, as_base64: bool) -> list[float] | str:
    digest = hashlib.blake2b(orjson.dumps([model, one]), digest_size=16).digest()
    packed = _vector(digest, dimensions)
    if as_base64:
        return base64.b64encode(packed).decode()
    return list(struct.unpack(f"<{dimensions}f", packed))


@lru_cache(maxsize=1024)
def _vector(seed: bytes, dimensions: int) -> bytes:
    """A vector of length one, as little-endian 32-bit floats; a shorter one is the longer's beginning, rescaled."""
    draw = random.Random(seed)
    values = [draw.uniform(-1, 1) for _ in range(dimensions)]
    length = math.sqrt(sum(value * value for value in values))
    return struct.pack(f"<{dimensions}f", *(value / length for value in values))
