"""Batches, files and results in the shapes of the two wires."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Count

from gateway.crypto import decrypt_bytes
from gateway.engine.batch import BatchState, LineOutcome, LineState
from gateway.engine.words import Wire
from gateway.models import Batch, BatchFile, BatchLine
from gateway.services.batch_files import file_pieces
from gateway.services.batch_lines import result_line

_LINES_AT_A_TIME = 200


def outcomes_of(batch: Batch) -> dict[LineOutcome, int]:
    """How many of its lines have ended how; those without a result are under NONE."""
    found = BatchLine.objects.filter(batch=batch).values_list("outcome").annotate(lines=Count("pk"))
    return {LineOutcome(outcome): lines for outcome, lines in found}


def openai_batch(batch: Batch) -> dict[str, Any]:
    outcomes = outcomes_of(batch)
    failed = sum(outcomes.get(one, 0) for one in (LineOutcome.ERRORED, LineOutcome.EXPIRED, LineOutcome.CANCELLED))
    state, ended = BatchState(batch.state), _unix(batch.ended_at)
    return {
        "id": batch.pk,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        "input_file_id": batch.input_file_id,
        "completion_window": "24h",
        "status": _openai_status(batch),
        "output_file_id": batch.output_file_id or None,
        "error_file_id": batch.error_file_id or None,
        "created_at": _unix(batch.created_at),
        "in_progress_at": _unix(batch.in_progress_at),
        "expires_at": _unix(batch.expires_at),
        "finalizing_at": ended if state is BatchState.COMPLETED else None,
        "completed_at": ended if state is BatchState.COMPLETED else None,
        "failed_at": ended if state is BatchState.FAILED else None,
        "expired_at": ended if state is BatchState.EXPIRED else None,
        "cancelling_at": _unix(batch.cancelling_at),
        "cancelled_at": ended if state is BatchState.CANCELLED else None,
        "request_counts": {
            "total": batch.line_count,
            "completed": outcomes.get(LineOutcome.SUCCEEDED, 0),
            "failed": failed,
        },
        "metadata": batch.metadata,
    }


def _openai_status(batch: Batch) -> str:
    state = BatchState(batch.state)
    if not state.ended and batch.cancelling_at is not None:
        return "cancelling"
    return "validating" if state is BatchState.RESERVING else state.value


def message_batch(batch: Batch, base_url: str) -> dict[str, Any]:
    outcomes = outcomes_of(batch)
    ended = batch.ended_at is not None
    total = batch.line_count
    return {
        "id": batch.pk,
        "type": "message_batch",
        "processing_status": "ended" if ended else "in_progress" if batch.cancelling_at is None else "canceling",
        "request_counts": {
            "processing": total - sum(lines for one, lines in outcomes.items() if one is not LineOutcome.NONE),
            "succeeded": outcomes.get(LineOutcome.SUCCEEDED, 0),
            "errored": outcomes.get(LineOutcome.ERRORED, 0),
            "canceled": outcomes.get(LineOutcome.CANCELLED, 0),
            "expired": outcomes.get(LineOutcome.EXPIRED, 0),
        },
        "ended_at": _iso(batch.ended_at),
        "created_at": _iso(batch.created_at),
        "expires_at": _iso(batch.expires_at),
        "archived_at": None,
        "cancel_initiated_at": _iso(batch.cancelling_at),
        "results_url": f"{base_url}/v1/messages/batches/{batch.pk}/results" if ended else None,
    }


def file_object(file: BatchFile) -> dict[str, Any]:
    return {
        "id": file.pk,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": _unix(file.created_at),
        "expires_at": _unix(file.expires_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
    }


def content_pieces(file: BatchFile) -> Iterator[bytes]:
    """A file's content, a piece in memory at a time; that of results is made of the batch's lines."""
    if not file.batch_id:
        yield from file_pieces(file.pk)
        return
    batch = Batch.objects.get(pk=file.batch_id)
    yield from result_pieces(batch, succeeded=file.pk == batch.output_file_id)


def result_pieces(batch: Batch, *, succeeded: bool | None = None) -> Iterator[bytes]:
    """The results in the order of the lines; `succeeded` picks those that did, or those that didn't."""
    lines = BatchLine.objects.filter(batch=batch, state=LineState.DONE.value).order_by("number")
    if succeeded is True:
        lines = lines.filter(outcome=LineOutcome.SUCCEEDED.value)
    elif succeeded is False:
        lines = lines.exclude(outcome=LineOutcome.SUCCEEDED.value)
    last = 0
    while page := list(lines.filter(number__gt=last)[:_LINES_AT_A_TIME]):
        yield b"".join(line_result(Wire(batch.wire), line) for line in page)
        last = page[-1].number


def line_result(wire: Wire, line: BatchLine) -> bytes:
    body = decrypt_bytes(line.result) if line.result else b"null"
    outcome = LineOutcome(line.outcome)
    return result_line(wire, line.custom_id, line.alone_id or line.completion_id, outcome, line.http_status or 0, body)


def _unix(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")
