"""Batches as clients make, read and cancel them. A batch belongs to its key's team; nobody else sees it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db.models import QuerySet
from django.utils import timezone

from gateway.engine.batch import BatchState
from gateway.engine.errors import InvalidRequest
from gateway.engine.words import Operation, Wire
from gateway.models import Batch, BatchFile, BatchLine
from gateway.services.batch_files import CHUNK_BYTES, KEPT_DAYS, file_keep, file_of, files_expire, new_id, not_found
from gateway.services.batch_lines import ENDPOINTS, MAX_LINES, Problem, message_line
from gateway.services.configuration import CHANGED, change_record
from gateway.services.snapshot import ApiKey
from gateway.wires import parse_object

WINDOW = "24h"
WINDOW_HOURS = 24
_METADATA_ENTRIES, _METADATA_CHARACTERS = 16, 512
_FIELDS = {"input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after"}


def batch_create(*, key: ApiKey, body: bytes, now: datetime) -> Batch:
    """OpenAI's `POST /v1/batches`. Raises InvalidRequest, ModelNotFound for the file."""
    asked = parse_object(body)
    if unknown := sorted(set(asked) - _FIELDS):
        raise InvalidRequest(f"Unknown parameter: {unknown[0][:60]!r}. Known are {sorted(_FIELDS)}.", param=unknown[0])
    endpoint = asked.get("endpoint")
    if not isinstance(endpoint, str) or endpoint not in ENDPOINTS:
        raise InvalidRequest(f"endpoint must be one of {sorted(ENDPOINTS)}.", param="endpoint")
    if asked.get("completion_window") != WINDOW:
        raise InvalidRequest(f"completion_window must be {WINDOW!r}.", param="completion_window")
    if not isinstance(asked.get("input_file_id"), str):
        raise InvalidRequest("input_file_id must be the id of an uploaded file.", param="input_file_id")
    file = file_of(key, asked["input_file_id"])
    return _create(key, Wire.OPENAI, ENDPOINTS[endpoint], file, endpoint, _metadata(asked.get("metadata")), now)


def message_batch_create(*, key: ApiKey, body: bytes, now: datetime) -> Batch:
    """Anthropic's `POST /v1/messages/batches`. Raises InvalidRequest naming the request that is wrong."""
    requests = parse_object(body).get("requests")
    if not isinstance(requests, list) or not 1 <= len(requests) <= MAX_LINES:
        raise InvalidRequest(f"requests: must be a list of 1 to {MAX_LINES} requests.", param="requests")
    seen: set[str] = set()
    for index, one in enumerate(requests):
        read = message_line(one, index)
        if isinstance(read, Problem):
            raise InvalidRequest(read.message, param=read.param)
        if read.custom_id in seen:
            said = f"requests.{index}.custom_id: {read.custom_id!r} is used twice."
            raise InvalidRequest(said, param=f"requests.{index}.custom_id")
        seen.add(read.custom_id)
    file = file_keep(key=key, filename="requests.jsonl", pieces=_pieces(requests), now=now, listed=False)
    return _create(key, Wire.ANTHROPIC, Operation.MESSAGES, file, "/v1/messages", None, now)


def _pieces(requests: list[dict[str, Any]]) -> Iterator[bytes]:
    """The requests in the shape of an input file's lines, so that one reader serves both wires."""
    piece = bytearray()
    for one in requests:
        line = {"custom_id": one["custom_id"], "method": "POST", "url": "/v1/messages", "body": one["params"]}
        piece += orjson.dumps(line) + b"\n"
        if len(piece) >= CHUNK_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _create(
    key: ApiKey,
    wire: Wire,
    operation: Operation,
    file: BatchFile,
    endpoint: str,
    metadata: dict[str, str] | None,
    now: datetime,
) -> Batch:
    return Batch.objects.create(
        id=new_id("batch_" if wire is Wire.OPENAI else "msgbatch_"),
        wire=wire.value,
        operation=operation.value,
        team_id=key.team_id or 0,
        team_name=key.team_name or "",
        api_key_id=key.id,
        api_key_name=key.name,
        state=BatchState.VALIDATING.value,
        endpoint=endpoint,
        input_file_id=file.pk,
        metadata=metadata,
        created_at=now,
        expires_at=now + timedelta(hours=WINDOW_HOURS),
        lease_until=now,
    )


def _metadata(metadata: Any) -> dict[str, str] | None:
    if metadata is None:
        return None
    good = isinstance(metadata, dict) and len(metadata) <= _METADATA_ENTRIES
    if not good or not all(isinstance(one, str) and len(one) <= _METADATA_CHARACTERS for one in metadata.values()):
        said = f"metadata: at most {_METADATA_ENTRIES} strings of at most {_METADATA_CHARACTERS} characters."
        raise InvalidRequest(said, param="metadata")
    return dict(metadata)


def batches_of(key: ApiKey, wire: Wire) -> QuerySet[Batch]:
    batches = Batch.objects.filter(team_id=key.team_id or 0, wire=wire.value)
    return batches if key.team_id is not None else batches.filter(api_key_id=key.id)


def batch_of(key: ApiKey, wire: Wire, batch_id: str) -> Batch:
    """Raises ModelNotFound."""
    batch = None if "\0" in batch_id else batches_of(key, wire).filter(pk=batch_id).first()
    if batch is None:
        raise not_found(f"There is no batch {batch_id[:60]!r}.")
    return batch


def batch_cancel(batch: Batch, *, now: datetime | None = None) -> Batch:
    """Ask for no more of it; what its providers have answered by then is kept and paid for. Raises InvalidRequest for
    one that has ended."""
    Batch.objects.filter(pk=batch.pk, ended_at=None, cancelling_at=None).update(cancelling_at=now or timezone.now())
    batch.refresh_from_db()
    if batch.ended_at is not None and batch.cancelling_at is None:
        raise InvalidRequest(f"This batch has ended: it is {batch.state}.", param="id")
    return batch


def batch_cancel_by(batch: Batch, *, actor: str) -> None:
    """As `batch_cancel`, for somebody of the back office: the history tells who did it."""
    before = batch.cancelling_at
    batch_cancel(batch)
    if before is None:
        change_record(actor=actor, action=CHANGED, section="batches", name=batch.pk, after="cancelled")


def message_batch_delete(batch: Batch) -> None:
    """Raises InvalidRequest while it is under way."""
    if batch.ended_at is None:
        raise InvalidRequest("This batch is under way. Cancel it first, and delete it when it has ended.", param="id")
    batch_forget(batch)


def batch_forget(batch: Batch) -> None:
    """Delete a batch with its requests and results; its completions stay in the ledger."""
    BatchLine.objects.filter(batch=batch).delete()
    BatchFile.objects.filter(batch_id=batch.pk).delete()
    BatchFile.objects.filter(pk=batch.input_file_id, listed=False).delete()
    batch.delete()


def batches_expire(*, now: datetime) -> None:
    """Forget batches that ended long ago, with their requests and results, and files whose time is over."""
    for batch in Batch.objects.filter(ended_at__lt=now - timedelta(days=KEPT_DAYS)):
        batch_forget(batch)
    files_expire(now=now)
