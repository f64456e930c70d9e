"""The lines of a batch: what one must look like, and how its result is told. Pure.

Sources: OpenAI, "The request input object" and "The request output object" of its Batch API; Anthropic, "API reference:
Create a Message Batch" and "Retrieve Message Batch results".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.engine.batch import LineOutcome
from gateway.engine.words import Operation, Wire
from gateway.wires.parsing import MAX_NESTING

ENDPOINTS = {"/v1/chat/completions": Operation.CHAT, "/v1/embeddings": Operation.EMBEDDINGS}
MAX_LINES = 50_000
MAX_CUSTOM_ID_CHARACTERS = 512
_ANTHROPIC_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NOT_DONE = {
    LineOutcome.EXPIRED: ("batch_expired", "This request could not be executed before the completion window expired."),
    LineOutcome.CANCELLED: ("batch_cancelled", "This request was not executed before the batch was cancelled."),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line can't be part of a batch. `line` counts from 1; None: the file as a whole."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "param": self.param, "line": self.line}


@dataclass(frozen=True, slots=True)
class ReadLine:
    custom_id: str
    body: bytes


def read_line(raw: bytes, number: int, endpoint: str) -> ReadLine | Problem:
    """One line of an OpenAI input file."""
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return Problem("invalid_json_line", f"This line is not valid JSON: {error}.", number)
    if not isinstance(parsed, dict):
        return Problem("invalid_json_line", "This line is not a JSON object.", number)
    custom_id, body = parsed.get("custom_id"), parsed.get("body")
    if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= MAX_CUSTOM_ID_CHARACTERS or "\0" in custom_id:
        said = f"custom_id must be a string of 1 to {MAX_CUSTOM_ID_CHARACTERS} characters."
        return Problem("invalid_custom_id", said, number, "custom_id")
    if parsed.get("method") != "POST":
        return Problem("invalid_method", "method must be 'POST'.", number, "method")
    if parsed.get("url") != endpoint:
        return Problem("mismatched_endpoint", f"url must be the batch's endpoint, {endpoint!r}.", number, "url")
    if not isinstance(body, dict):
        return Problem("missing_required_parameter", "body must be the request, a JSON object.", number, "body")
    try:
        return ReadLine(custom_id, orjson.dumps(body))
    except orjson.JSONEncodeError:  # it writes fewer levels than it reads
        return Problem("invalid_json_line", f"body is nested deeper than {MAX_NESTING} levels.", number, "body")


def message_line(one: Any, index: int) -> ReadLine | Problem:
    """One of the `requests` of a message batch; `index` counts from 0, as Anthropic's errors do."""
    where = f"requests.{index}"
    if not isinstance(one, dict):
        return Problem("invalid_request", f"{where}: must be an object with custom_id and params.", index, where)
    custom_id, params = one.get("custom_id"), one.get("params")
    if not isinstance(custom_id, str) or _ANTHROPIC_ID.fullmatch(custom_id) is None:
        said = f"{where}.custom_id: must be 1 to 64 characters out of a-z A-Z 0-9 _ -"
        return Problem("invalid_request", said, index, f"{where}.custom_id")
    if not isinstance(params, dict):
        return Problem("invalid_request", f"{where}.params: must be a request, an object.", index, f"{where}.params")
    return ReadLine(custom_id, orjson.dumps(params))


def result_line(wire: Wire, custom_id: str, request_id: str, outcome: LineOutcome, status: int, body: bytes) -> bytes:
    """A line of the results, with its line break. `body` is the answer or the error in the caller's wire."""
    told = _openai_result(request_id, outcome, status, body) if wire is Wire.OPENAI else {}
    if wire is Wire.ANTHROPIC:
        told = {"result": _anthropic_result(outcome, body)}
    return orjson.dumps({"custom_id": custom_id, **told}) + b"\n"


def _openai_result(request_id: str, outcome: LineOutcome, status: int, body: bytes) -> Mapping[str, Any]:
    identity = f"batch_{request_id}"
    if outcome in _NOT_DONE:
        code, message = _NOT_DONE[outcome]
        return {"id": identity, "response": None, "error": {"code": code, "message": message}}
    response = {"status_code": status, "request_id": request_id, "body": orjson.Fragment(body)}
    return {"id": identity, "response": response, "error": None}


def _anthropic_result(outcome: LineOutcome, body: bytes) -> Mapping[str, Any]:
    if outcome is LineOutcome.SUCCEEDED:
        return {"type": "succeeded", "message": orjson.Fragment(body)}
    if outcome is LineOutcome.ERRORED:
        return {"type": "errored", "error": orjson.Fragment(body)}
    return {"type": "canceled" if outcome is LineOutcome.CANCELLED else "expired"}
