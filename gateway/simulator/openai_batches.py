"""OpenAI's files and batches.

Sources: OpenAI, "API reference: Files", "API reference: Batch", "The request input object", "The request output
object", "Batch API: error codes".
"""

import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import orjson

from gateway.simulator.batches import MAX_BATCHES, Batch, BatchBooks, Line, LineWire, new_id
from gateway.simulator.errors import InvalidRequest, WireError
from gateway.simulator.faults import FaultKind
from gateway.simulator.http import Request

MAX_FILES = 2_000
MAX_OPENAI_LINES = 50_000
_PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
_BATCH_FIELDS = {"input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after"}
_LINE_FIELDS = {"custom_id", "method", "url", "body"}
_DAY_SECONDS = 86_400
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?')
_FIELD = re.compile(r'\bname="([^"]*)"')
_FILENAME = re.compile(r'\bfilename="([^"]*)"')


class OpenAIBatches:
    """``files…`` and ``batches…`` of one OpenAI account. ``endpoints`` maps a line's url to the wire that answers."""

    def __init__(self, books: BatchBooks, endpoints: Mapping[str, LineWire]) -> None:
        self._books = books
        self._endpoints = endpoints
        self._files: dict[str, tuple[dict[str, Any], bytes]] = {}
        self._batches: dict[str, Batch] = {}

    def clear(self) -> None:
        self._files.clear()
        self._batches.clear()

    def serve(self, request: Request, rest: str, faults: Mapping[FaultKind, Any]) -> bytes | None:
        """The reply's body, or None where there is no such place. Raises WireError."""
        kind, _, place = rest.partition("/")
        if kind == "files":
            return self._serve_files(request, place)
        identity, _, act = place.partition("/")
        if request.method == "POST" and not place:
            return orjson.dumps(self._create(request, faults))
        if request.method == "GET" and not place:
            return self._list(request)
        if request.method == "GET" and not act:
            return orjson.dumps(self._shown(self._batch(identity)))
        if request.method == "POST" and act == "cancel":
            return orjson.dumps(self._cancel(self._batch(identity)))
        return None

    # --- files

    def _serve_files(self, request: Request, place: str) -> bytes | None:
        identity, _, act = place.partition("/")
        if request.method == "POST" and not place:
            return orjson.dumps(self._upload(request))
        if request.method == "GET" and not place:
            data = [facts for facts, _ in self._files.values()]
            return orjson.dumps({"object": "list", "data": data, "has_more": False})
        facts, content = self._file(identity)
        if request.method == "GET" and not act:
            return orjson.dumps(facts)
        if request.method == "GET" and act == "content":
            return content
        if request.method == "DELETE" and not act:
            del self._files[identity]
            return orjson.dumps({"id": identity, "object": "file", "deleted": True})
        return None

    def _upload(self, request: Request) -> dict[str, Any]:
        fields, filename, content = _multipart(request)
        purpose = fields.get("purpose")
        if purpose not in _PURPOSES:
            raise InvalidRequest(f"'{purpose}' is not one of {list(_PURPOSES)} - 'purpose'", param="purpose")
        if content is None:
            raise InvalidRequest("'file' is a required property", param="file")
        if purpose == "batch" and not filename.endswith(".jsonl"):
            raise InvalidRequest("Invalid file format for Batch API. Must be .jsonl", param="file")
        return self._store(content, filename, purpose)

    def _store(self, content: bytes, filename: str, purpose: str) -> dict[str, Any]:
        while len(self._files) >= MAX_FILES:
            del self._files[next(iter(self._files))]
        facts = {
            "id": new_id("file-"),
            "object": "file",
            "bytes": len(content),
            "created_at": int(time.time()),
            "filename": filename,
            "purpose": purpose,
            "status": "processed",
        }
        self._files[facts["id"]] = (facts, content)  # type: ignore[index]
        return facts

    def _file(self, identity: str) -> tuple[dict[str, Any], bytes]:
        found = self._files.get(identity)
        if found is None:
            raise WireError(404, "invalid_request_error", f"No such File object: {identity}", param="id")
        return found

    # --- batches

    def _create(self, request: Request, faults: Mapping[FaultKind, Any]) -> dict[str, Any]:
        body = _object(request.body)
        unknown = sorted(set(body) - _BATCH_FIELDS)
        if unknown:
            raise InvalidRequest(f"Unknown parameter: '{unknown[0]}'.", param=unknown[0], code="unknown_parameter")
        if body.get("endpoint") not in self._endpoints:
            raise InvalidRequest(f"Invalid value: '{body.get('endpoint')}'.", param="endpoint", code="invalid_value")
        if body.get("completion_window") != "24h":
            raise InvalidRequest("Invalid value: 'completion_window' must be '24h'.", param="completion_window")
        _check_metadata(body.get("metadata"))
        _, content = self._file(str(body.get("input_file_id")))
        lines, errors = _lines(content, body["endpoint"], self._endpoints[body["endpoint"]])
        batch = Batch(new_id("batch_"), [] if errors else lines, time.time(), self._books.now())
        batch.facts = {**body, "errors": errors}
        if FaultKind.BATCH_EXPIRES in faults:
            batch.expires_after_lines = faults[FaultKind.BATCH_EXPIRES].after_lines
        while len(self._batches) >= MAX_BATCHES:
            del self._batches[next(iter(self._batches))]
        self._batches[batch.id] = batch
        return self._shown(batch)

    def _batch(self, identity: str) -> Batch:
        batch = self._batches.get(identity)
        if batch is None:
            raise WireError(404, "invalid_request_error", f"No batch found with id '{identity}'.")
        return batch

    def _list(self, request: Request) -> bytes:
        asked = {name: values[-1] for name, values in parse_qs(request.query).items()}
        newest = list(reversed(self._batches.values()))
        ids = [batch.id for batch in newest]
        start = ids.index(asked["after"]) + 1 if asked.get("after") in ids else 0
        limit = int(asked.get("limit", "20"))
        page = newest[start : start + limit]
        data = [self._shown(batch) for batch in page]
        ends = {"first_id": page[0].id, "last_id": page[-1].id} if page else {"first_id": None, "last_id": None}
        return orjson.dumps({"object": "list", "data": data, "has_more": start + limit < len(newest), **ends})

    def _cancel(self, batch: Batch) -> dict[str, Any]:
        self._books.advance(batch)
        if batch.ended:
            raise WireError(409, "invalid_request_error", f"Cannot cancel a batch with status '{_status(batch)}'.")
        batch.cancelled = True
        return self._shown(batch)

    def _shown(self, batch: Batch) -> dict[str, Any]:
        self._books.advance(batch)
        if batch.ended and "output_file_id" not in batch.facts and not batch.facts["errors"]:
            batch.facts.update(self._result_files(batch))
        failed = sum(line.error is not None for line in batch.worked())
        errors = batch.facts["errors"]
        created = int(batch.created_at)
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.facts["endpoint"],
            "errors": {"object": "list", "data": errors} if errors else None,
            "input_file_id": batch.facts["input_file_id"],
            "completion_window": "24h",
            "status": _status(batch),
            "output_file_id": batch.facts.get("output_file_id"),
            "error_file_id": batch.facts.get("error_file_id"),
            "created_at": created,
            "in_progress_at": created,
            "expires_at": created + _DAY_SECONDS,
            "completed_at": int(time.time()) if _status(batch) == "completed" else None,
            "request_counts": {
                "total": len(batch.lines),
                "completed": batch.done - failed,
                "failed": failed,
            },
            "metadata": batch.facts.get("metadata"),
        }

    def _result_files(self, batch: Batch) -> dict[str, str | None]:
        good = [_output(line, 200, orjson.loads(line.answer)) for line in batch.worked() if line.answer is not None]
        bad = [_refused(line, line.error) for line in batch.worked() if line.error is not None]
        if batch.expired:
            said = {"code": "batch_expired", "message": "This request could not be executed before the batch expired."}
            bad += [_unworked(line, said) for line in batch.left()]
        elif batch.cancelled:
            said = {"code": "batch_cancelled", "message": "This request was cancelled with its batch."}
            bad += [_unworked(line, said) for line in batch.left()]
        return {
            "output_file_id": self._results(batch, good, "output"),
            "error_file_id": self._results(batch, bad, "error"),
        }

    def _results(self, batch: Batch, lines: list[bytes], word: str) -> str | None:
        if not lines:
            return None
        identity: str = self._store(b"\n".join(lines) + b"\n", f"{batch.id}_{word}.jsonl", "batch_output")["id"]
        return identity


def _status(batch: Batch) -> str:
    if batch.facts["errors"]:
        return "failed"
    if batch.cancelled:
        return "cancelled"
    if batch.expired:
        return "expired"
    return "completed" if batch.ended else "in_progress"


def _output(line: Line, status: int, body: Any) -> bytes:
    response = {"status_code": status, "request_id": new_id("req_"), "body": body}
    return orjson.dumps({"id": new_id("batch_req_"), "custom_id": line.custom_id, "response": response, "error": None})


def _refused(line: Line, error: WireError) -> bytes:
    fields = {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}
    return _output(line, error.status, {"error": fields})


def _unworked(line: Line, error: dict[str, str]) -> bytes:
    return orjson.dumps({"id": new_id("batch_req_"), "custom_id": line.custom_id, "response": None, "error": error})


def _lines(content: bytes, endpoint: str, wire: LineWire) -> tuple[list[Line], list[dict[str, Any]]]:
    lines: list[Line] = []
    errors: list[dict[str, Any]] = []
    seen: set[str] = set()
    for number, raw in enumerate(content.splitlines(), start=1):
        if not raw.strip():
            continue
        problem = _problem(raw, endpoint, seen)
        if problem is not None:
            errors.append({"code": problem[0], "message": problem[1], "param": None, "line": number})
            continue
        parsed = orjson.loads(raw)
        seen.add(parsed["custom_id"])
        lines.append(Line(parsed["custom_id"], wire, parsed["body"]))
    if not lines and not errors:
        errors.append({"code": "empty_file", "message": "The input file is empty.", "param": None, "line": None})
    if len(lines) > MAX_OPENAI_LINES:
        said = f"The batch has more than {MAX_OPENAI_LINES} requests."
        errors.append({"code": "too_many_tasks", "message": said, "param": None, "line": None})
    return lines, errors


def _problem(raw: bytes, endpoint: str, seen: set[str]) -> tuple[str, str] | None:
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return "invalid_json_line", "This line is not parseable as valid JSON."
    if not isinstance(parsed, dict) or not set(parsed) >= _LINE_FIELDS:
        return "missing_required_parameter", f"Each line needs {sorted(_LINE_FIELDS)}."
    if not isinstance(parsed["custom_id"], str) or not isinstance(parsed["body"], dict):
        return "invalid_type", "custom_id must be a string and body an object."
    if parsed["custom_id"] in seen:
        return "duplicate_custom_id", f"The custom_id '{parsed['custom_id']}' is used twice."
    if parsed["method"] != "POST":
        return "invalid_method", "The method must be POST."
    if parsed["url"] != endpoint:
        return "mismatched_endpoint", f"The url '{parsed['url']}' is not the batch's endpoint."
    if parsed["body"].get("stream"):
        return "invalid_request", "Batches can't stream."
    return None


def _check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    good = isinstance(metadata, dict) and len(metadata) <= 16
    if not good or not all(isinstance(value, str) and len(value) <= 512 for value in metadata.values()):
        raise InvalidRequest("Invalid 'metadata': at most 16 strings of at most 512 characters.", param="metadata")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise InvalidRequest("We could not parse the JSON body of your request.") from None
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be an object.")
    return body


def _multipart(request: Request) -> tuple[dict[str, str], str, bytes | None]:
    """Text fields, the file's name and its content."""
    found = _BOUNDARY.search(request.headers.get("content-type", ""))
    if found is None:
        raise InvalidRequest("The request must be multipart/form-data.")
    fields: dict[str, str] = {}
    filename, content = "", None
    for part in request.body.split(b"--" + found.group(1).encode())[1:]:
        head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = _FIELD.search(head.decode("latin-1"))
        if name is None:
            continue
        value = value.removesuffix(b"\r\n")
        if name.group(1) == "file":
            named = _FILENAME.search(head.decode("latin-1"))
            filename, content = named.group(1) if named else "", value
        else:
            fields[name.group(1)] = value.decode()
    return fields, filename, content
