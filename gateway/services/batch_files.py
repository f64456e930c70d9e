"""Files of clients, kept in the database in encrypted pieces: every process of a fleet can read them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from gateway.crypto import decrypt_bytes, encrypt_bytes
from gateway.engine.errors import InvalidRequest, ModelNotFound
from gateway.models import Batch, BatchFile, BatchFileChunk
from gateway.services.snapshot import ApiKey

CHUNK_BYTES = 256 * 1024
KEPT_DAYS = 30
PURPOSE = "batch"
OUTPUT_PURPOSE = "batch_output"


def new_id(prefix: str) -> str:
    return f"{prefix}{secrets.token_hex(14)}"


def file_create(*, key: ApiKey, filename: str, purpose: str, pieces: Iterator[bytes], now: datetime) -> BatchFile:
    """Keep a file, a piece in memory at a time. Raises InvalidRequest for another purpose than `batch`."""
    if purpose != PURPOSE:
        raise InvalidRequest(
            f"The purpose must be 'batch', not {purpose[:50]!r}: files are for batches here.", param="purpose"
        )
    return file_keep(key=key, filename=filename, pieces=pieces, now=now)


def file_keep(*, key: ApiKey, filename: str, pieces: Iterator[bytes], now: datetime, listed: bool = True) -> BatchFile:
    with transaction.atomic():
        file = BatchFile.objects.create(
            id=new_id("file-"),
            team_id=key.team_id or 0,
            api_key_id=key.id,
            filename=filename[:200],
            purpose=PURPOSE,
            size_bytes=0,
            created_at=now,
            expires_at=now + timedelta(days=KEPT_DAYS),
            listed=listed,
        )
        for number, piece in enumerate(pieces):
            BatchFileChunk.objects.create(file=file, number=number, content=encrypt_bytes(piece))
            file.size_bytes += len(piece)
        file.save(update_fields=["size_bytes"])
    return file


def file_lines(file_id: str) -> Iterator[tuple[int, bytes]]:
    """Number (from 1) and bytes of each line that is not empty, a piece of the file in memory at a time."""
    number, rest = 0, b""
    for piece in file_pieces(file_id):
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            number += 1
            if line.strip():
                yield number, line
    if rest.strip():
        yield number + 1, rest


def file_pieces(file_id: str) -> Iterator[bytes]:
    number = 0
    while True:
        chunk = BatchFileChunk.objects.filter(file_id=file_id, number=number).values_list("content", flat=True).first()
        if chunk is None:
            return
        yield decrypt_bytes(chunk)
        number += 1


def files_of(key: ApiKey) -> QuerySet[BatchFile]:
    """What the key's team may see; a key without a team sees its own."""
    files = BatchFile.objects.filter(listed=True, team_id=key.team_id or 0)
    return files if key.team_id is not None else files.filter(api_key_id=key.id)


def file_of(key: ApiKey, file_id: str) -> BatchFile:
    """Raises ModelNotFound."""
    file = None if "\0" in file_id else files_of(key).filter(pk=file_id).first()
    if file is None:
        raise not_found(f"There is no file {file_id[:60]!r}.")
    return file


def file_delete(key: ApiKey, file_id: str) -> None:
    """Raises ModelNotFound, and InvalidRequest while a batch still reads it."""
    file = file_of(key, file_id)
    if Batch.objects.filter(input_file_id=file.pk, state="validating").exists():
        raise InvalidRequest("A batch is still reading this file. Delete it when the batch is in progress.", param="id")
    file.delete()


def not_found(sentence: str) -> ModelNotFound:
    error = ModelNotFound(sentence, param="id")
    error.code = "not_found"
    return error


def files_expire(*, now: datetime) -> int:
    """Delete files whose time is over; how many."""
    return BatchFile.objects.filter(expires_at__lt=now).delete()[0]
