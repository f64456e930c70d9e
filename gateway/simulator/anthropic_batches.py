"""Anthropic's Message Batches.

Sources: Anthropic, "API reference: Create a Message Batch", "Retrieve Message Batch results", "Batch processing".
"""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import orjson

from gateway.simulator.batches import MAX_BATCHES, MAX_LINES, Batch, BatchBooks, Line, LineWire, new_id
from gateway.simulator.errors import InvalidRequest, WireError
from gateway.simulator.faults import FaultKind
from gateway.simulator.http import Request

_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_DAY_SECONDS = 86_400


class AnthropicBatches:
    """``messages/batches…`` of one Anthropic account."""

    def __init__(self, books: BatchBooks, wire: LineWire) -> None:
        self._books = books
        self._wire = wire
        self._batches: dict[str, Batch] = {}

    def clear(self) -> None:
        self._batches.clear()

    def serve(self, request: Request, rest: str, faults: Mapping[FaultKind, Any]) -> bytes | None:
        """The reply's body, or None where there is no such place. Raises WireError."""
        place = rest.removeprefix("messages/batches").lstrip("/")
        identity, _, act = place.partition("/")
        if not place:
            return self._serve_list(request, faults)
        batch = self._batch(identity)
        self._books.advance(batch)
        if request.method == "GET" and not act:
            return orjson.dumps(_shown(batch, request))
        if request.method == "GET" and act == "results":
            return _results(batch)
        if request.method == "POST" and act == "cancel":
            batch.facts.setdefault("cancel_initiated_at", _moment(time.time()))
            batch.cancelled = batch.cancelled or not batch.ended
            return orjson.dumps(_shown(batch, request))
        if request.method == "DELETE" and not act:
            return self._delete(batch)
        return None

    def _serve_list(self, request: Request, faults: Mapping[FaultKind, Any]) -> bytes | None:
        if request.method == "POST":
            return orjson.dumps(_shown(self._create(request, faults), request))
        if request.method != "GET":
            return None
        asked = {name: values[-1] for name, values in parse_qs(request.query).items()}
        newest = list(reversed(self._batches.values()))
        ids = [batch.id for batch in newest]
        start = ids.index(asked["after_id"]) + 1 if asked.get("after_id") in ids else 0
        limit = int(asked.get("limit", "20"))
        page = newest[start : start + limit]
        for batch in page:
            self._books.advance(batch)
        ends = {"first_id": page[0].id, "last_id": page[-1].id} if page else {"first_id": None, "last_id": None}
        data = [_shown(batch, request) for batch in page]
        return orjson.dumps({"data": data, "has_more": start + limit < len(newest), **ends})

    def _create(self, request: Request, faults: Mapping[FaultKind, Any]) -> Batch:
        batch = Batch(new_id("msgbatch_01"), self._lines(request.body), time.time(), self._books.now())
        batch.headers = {"anthropic-version": request.headers.get("anthropic-version", "")}
        if FaultKind.BATCH_EXPIRES in faults:
            batch.expires_after_lines = faults[FaultKind.BATCH_EXPIRES].after_lines
        while len(self._batches) >= MAX_BATCHES:
            del self._batches[next(iter(self._batches))]
        self._batches[batch.id] = batch
        return batch

    def _lines(self, raw: bytes) -> list[Line]:
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise InvalidRequest(f"The request body is not valid JSON: {error}") from None
        if not isinstance(body, dict) or not isinstance(body.get("requests"), list):
            raise InvalidRequest("requests: Field required")
        if unknown := sorted(set(body) - {"requests"}):
            raise InvalidRequest(f"{unknown[0]}: Extra inputs are not permitted")
        if not 1 <= len(body["requests"]) <= MAX_LINES:
            raise InvalidRequest(f"requests: List should have 1 to {MAX_LINES} items")
        lines = [_line(index, one, self._wire) for index, one in enumerate(body["requests"])]
        if len({line.custom_id for line in lines}) < len(lines):
            raise InvalidRequest("requests: custom_id must be unique")
        return lines

    def _batch(self, identity: str) -> Batch:
        batch = self._batches.get(identity)
        if batch is None:
            raise WireError(404, "not_found_error", f"Message Batch {identity} not found")
        return batch

    def _delete(self, batch: Batch) -> bytes:
        if not batch.ended:
            raise InvalidRequest(f"Message Batch {batch.id} cannot be deleted while it is in progress")
        del self._batches[batch.id]
        return orjson.dumps({"id": batch.id, "type": "message_batch_deleted"})


def _line(index: int, one: Any, wire: LineWire) -> Line:
    if not isinstance(one, dict) or set(one) != {"custom_id", "params"} or not isinstance(one["params"], dict):
        raise InvalidRequest(f"requests.{index}: custom_id and params are required, and nothing else")
    if not isinstance(one["custom_id"], str) or _CUSTOM_ID.fullmatch(one["custom_id"]) is None:
        raise InvalidRequest(f"requests.{index}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
    if one["params"].get("stream"):
        raise InvalidRequest(f"requests.{index}.params.stream: Batches can't stream")
    return Line(one["custom_id"], wire, one["params"])


def _shown(batch: Batch, request: Request) -> dict[str, Any]:
    failed = sum(line.error is not None for line in batch.worked())
    left = len(batch.lines) - batch.done
    base = request.path.partition("/v1/")[0]
    url = f"http://{request.headers.get('host', '')}{base}/v1/messages/batches/{batch.id}/results"
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if batch.ended else "in_progress",
        # As Anthropic does: all are processing until the batch has ended.
        "request_counts": {
            "processing": 0 if batch.ended else len(batch.lines),
            "succeeded": batch.done - failed if batch.ended else 0,
            "errored": failed if batch.ended else 0,
            "canceled": left if batch.cancelled else 0,
            "expired": left if batch.expired else 0,
        },
        "ended_at": _moment(time.time()) if batch.ended else None,
        "created_at": _moment(batch.created_at),
        "expires_at": _moment(batch.created_at + _DAY_SECONDS),
        "archived_at": None,
        "cancel_initiated_at": batch.facts.get("cancel_initiated_at"),
        "results_url": url if batch.ended else None,
    }


def _results(batch: Batch) -> bytes:
    if not batch.ended:
        raise WireError(404, "not_found_error", f"Message Batch {batch.id} has no results yet")
    rest = "expired" if batch.expired else "canceled"
    lines = [orjson.dumps({"custom_id": line.custom_id, "result": _result(line)}) for line in batch.worked()]
    lines += [orjson.dumps({"custom_id": line.custom_id, "result": {"type": rest}}) for line in batch.left()]
    return b"\n".join(reversed(lines)) + b"\n"  # in any order but the request's


def _result(line: Line) -> dict[str, Any]:
    if line.error is None:
        return {"type": "succeeded", "message": orjson.loads(line.answer or b"")}
    said = {"type": line.error.kind, "message": line.error.message}
    return {"type": "errored", "error": {"type": "error", "error": said, "request_id": new_id("req_")}}


def _moment(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat().replace("+00:00", "Z")
