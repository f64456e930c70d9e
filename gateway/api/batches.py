"""Files and batches on both wires. What they do to rows happens in threads: the event loop serves completions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.core.exceptions import SuspiciousOperation
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from ninja import Router

from gateway.api.replies import request_id_of, with_headers
from gateway.api.requests import headers_of
from gateway.engine.errors import InvalidRequest
from gateway.engine.words import Wire
from gateway.models import Batch
from gateway.services import batch_create, batch_files, batch_views
from gateway.services.access import authenticate
from gateway.services.batch_files import CHUNK_BYTES
from gateway.services.runtime import running_runtime
from gateway.services.snapshot import ApiKey

router = Router()

Result = TypeVar("Result")
DEFAULT_PAGE, MAX_PAGE, MAX_FILES_PAGE = 20, 100, 10_000


def _key(request: HttpRequest) -> ApiKey:
    """The caller's key. Raises NotAuthenticated."""
    runtime, now = running_runtime(), datetime.now(UTC)
    key = authenticate(runtime.snapshot, headers_of(request), now)
    runtime.key_uses.note(key.id, now)
    return key


async def in_thread(work: Callable[[], Result]) -> Result:
    """Work on rows, away from the event loop, with a connection that doesn't outlive it."""

    def closing() -> Result:
        try:
            return work()
        finally:
            connection.close()

    return await asyncio.to_thread(closing)


def _json(request: HttpRequest, document: dict[str, Any]) -> HttpResponse:
    return with_headers(JsonResponse(document), {}, request_id_of(request))


class Download(StreamingHttpResponse):
    """A content that is read from the database as its client takes it, a piece in memory at a time."""

    def __init__(self, pieces: Iterator[bytes], content_type: str, request_id: str) -> None:
        self.pieces = _in_threads(pieces)
        super().__init__(self.pieces, content_type=content_type)
        with_headers(self, {}, request_id)


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (piece := await in_thread(lambda: next(pieces, None))) is not None:
        yield piece


# --- OpenAI: files


@router.post("/v1/files", summary="Upload a batch's input file", tags=["OpenAI wire"])
async def file_create(request: HttpRequest) -> HttpResponse:
    key = _key(request)
    return _json(request, await in_thread(lambda: batch_views.file_object(_upload(request, key))))


def _upload(request: HttpRequest, key: ApiKey) -> Any:
    try:
        uploaded, purpose = request.FILES.get("file"), request.POST.get("purpose", "")
    except MultiPartParserError as error:
        raise InvalidRequest(f"The request is not readable multipart/form-data: {error}") from None
    except SuspiciousOperation:  # more fields or files than Django reads
        raise InvalidRequest("The form has too many fields; it needs 'file' and 'purpose'.") from None
    if uploaded is None:
        raise InvalidRequest("The multipart field 'file' is missing.", param="file")
    pieces = uploaded.chunks(CHUNK_BYTES)
    name, now = uploaded.name or "file.jsonl", datetime.now(UTC)
    return batch_files.file_create(key=key, filename=name, purpose=str(purpose), pieces=pieces, now=now)


@router.get("/v1/files", summary="The files of this key's team", tags=["OpenAI wire"])
async def file_list(request: HttpRequest) -> HttpResponse:
    key = _key(request)
    limit = _limit(request, MAX_FILES_PAGE, MAX_FILES_PAGE)

    def read() -> dict[str, Any]:
        files = batch_files.files_of(key).order_by("-created_at", "-pk")
        if after := request.GET.get("after"):
            one = batch_files.file_of(key, after)
            files = files.filter(created_at__lt=one.created_at)
        found = list(files[: limit + 1])
        return _openai_page([batch_views.file_object(file) for file in found], limit)

    return _json(request, await in_thread(read))


@router.get("/v1/files/{file_id}", summary="One file", tags=["OpenAI wire"])
async def file_get(request: HttpRequest, file_id: str) -> HttpResponse:
    key = _key(request)
    return _json(request, await in_thread(lambda: batch_views.file_object(batch_files.file_of(key, file_id))))


@router.get("/v1/files/{file_id}/content", summary="A file's content", tags=["OpenAI wire"])
async def file_content(request: HttpRequest, file_id: str) -> HttpResponseBase:
    key = _key(request)
    file = await in_thread(lambda: batch_files.file_of(key, file_id))
    return Download(batch_views.content_pieces(file), "application/octet-stream", request_id_of(request))


@router.delete("/v1/files/{file_id}", summary="Delete a file", tags=["OpenAI wire"])
async def file_delete(request: HttpRequest, file_id: str) -> HttpResponse:
    key = _key(request)
    await in_thread(lambda: batch_files.file_delete(key, file_id))
    return _json(request, {"id": file_id, "object": "file", "deleted": True})


# --- OpenAI: batches


@router.post("/v1/batches", summary="Make a batch of an uploaded file", tags=["OpenAI wire"])
async def create(request: HttpRequest) -> HttpResponse:
    key, body = _key(request), request.read()

    def make() -> dict[str, Any]:
        return batch_views.openai_batch(batch_create.batch_create(key=key, body=body, now=datetime.now(UTC)))

    return _json(request, await in_thread(make))


@router.get("/v1/batches", summary="The batches of this key's team", tags=["OpenAI wire"])
async def listed(request: HttpRequest) -> HttpResponse:
    key, limit = _key(request), _limit(request, DEFAULT_PAGE, MAX_PAGE)

    def read() -> dict[str, Any]:
        found = _page(key, Wire.OPENAI, request.GET.get("after"), None, limit)
        return _openai_page([batch_views.openai_batch(batch) for batch in found], limit)

    return _json(request, await in_thread(read))


@router.get("/v1/batches/{batch_id}", summary="One batch", tags=["OpenAI wire"])
async def get(request: HttpRequest, batch_id: str) -> HttpResponse:
    key = _key(request)

    def read() -> dict[str, Any]:
        return batch_views.openai_batch(batch_create.batch_of(key, Wire.OPENAI, batch_id))

    return _json(request, await in_thread(read))


@router.post("/v1/batches/{batch_id}/cancel", summary="Cancel a batch", tags=["OpenAI wire"])
async def cancel(request: HttpRequest, batch_id: str) -> HttpResponse:
    key = _key(request)

    def act() -> dict[str, Any]:
        batch = batch_create.batch_of(key, Wire.OPENAI, batch_id)
        return batch_views.openai_batch(batch_create.batch_cancel(batch))

    return _json(request, await in_thread(act))


# --- Anthropic


@router.post("/v1/messages/batches", summary="Make a message batch", tags=["Anthropic wire"])
async def message_batch_create(request: HttpRequest) -> HttpResponse:
    key, body = _key(request), request.read()

    def make() -> dict[str, Any]:
        batch = batch_create.message_batch_create(key=key, body=body, now=datetime.now(UTC))
        return batch_views.message_batch(batch, _base_url(request))

    return _json(request, await in_thread(make))


@router.get("/v1/messages/batches", summary="The message batches of this key's team", tags=["Anthropic wire"])
async def message_batch_list(request: HttpRequest) -> HttpResponse:
    key, limit = _key(request), _limit(request, DEFAULT_PAGE, MAX_PAGE)

    def read() -> dict[str, Any]:
        found = _page(key, Wire.ANTHROPIC, request.GET.get("after_id"), request.GET.get("before_id"), limit)
        data = [batch_views.message_batch(batch, _base_url(request)) for batch in found[:limit]]
        return {"data": data, "has_more": len(found) > limit, **_ends(data)}

    return _json(request, await in_thread(read))


@router.get("/v1/messages/batches/{batch_id}", summary="One message batch", tags=["Anthropic wire"])
async def message_batch_get(request: HttpRequest, batch_id: str) -> HttpResponse:
    key = _key(request)

    def read() -> dict[str, Any]:
        return batch_views.message_batch(batch_create.batch_of(key, Wire.ANTHROPIC, batch_id), _base_url(request))

    return _json(request, await in_thread(read))


@router.get("/v1/messages/batches/{batch_id}/results", summary="A message batch's results", tags=["Anthropic wire"])
async def message_batch_results(request: HttpRequest, batch_id: str) -> HttpResponseBase:
    key = _key(request)
    batch = await in_thread(lambda: batch_create.batch_of(key, Wire.ANTHROPIC, batch_id))
    if batch.ended_at is None:
        raise InvalidRequest("This batch has no results yet: it is under way.", param="id")
    return Download(batch_views.result_pieces(batch), "application/x-jsonl", request_id_of(request))


@router.post("/v1/messages/batches/{batch_id}/cancel", summary="Cancel a message batch", tags=["Anthropic wire"])
async def message_batch_cancel(request: HttpRequest, batch_id: str) -> HttpResponse:
    key = _key(request)

    def act() -> dict[str, Any]:
        batch = batch_create.batch_of(key, Wire.ANTHROPIC, batch_id)
        return batch_views.message_batch(batch_create.batch_cancel(batch), _base_url(request))

    return _json(request, await in_thread(act))


@router.delete("/v1/messages/batches/{batch_id}", summary="Delete a message batch", tags=["Anthropic wire"])
async def message_batch_delete(request: HttpRequest, batch_id: str) -> HttpResponse:
    key = _key(request)

    def act() -> None:
        batch_create.message_batch_delete(batch_create.batch_of(key, Wire.ANTHROPIC, batch_id))

    await in_thread(act)
    return _json(request, {"id": batch_id, "type": "message_batch_deleted"})


# --- pages


def _limit(request: HttpRequest, default: int, most: int) -> int:
    text = request.GET.get("limit", str(default))
    if len(text) > len(str(most)) or not text.isdecimal() or not 1 <= int(text) <= most:
        raise InvalidRequest(f"limit must be a whole number from 1 to {most}.", param="limit")
    return int(text)


def _page(key: ApiKey, wire: Wire, after: str | None, before: str | None, limit: int) -> list[Batch]:
    """Newest first, one more than asked for where there are more."""
    batches: QuerySet[Batch] = batch_create.batches_of(key, wire)
    if before:
        newer = batches.filter(created_at__gt=batch_create.batch_of(key, wire, before).created_at)
        return list(newer.order_by("created_at", "pk")[:limit])[::-1]
    if after:
        batches = batches.filter(created_at__lt=batch_create.batch_of(key, wire, after).created_at)
    return list(batches.order_by("-created_at", "-pk")[: limit + 1])


def _openai_page(found: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    data = found[:limit]
    return {"object": "list", "data": data, "has_more": len(found) > limit, **_ends(data)}


def _ends(data: list[dict[str, Any]]) -> dict[str, Any]:
    return {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}


def _base_url(request: HttpRequest) -> str:
    """As the client sees us, since its SDK fetches the results where we say they are."""
    return f"{request.scheme}://{request.get_host()}"
