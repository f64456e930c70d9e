"""Looking at stored content: for whom it is, and that somebody did."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import orjson
from django.utils import timezone

from gateway.crypto import decrypt_bytes
from gateway.models import StoredContent
from gateway.services.configuration import change_record
from gateway.services.content_retention import SECTION

MAY_LOOK = "gateway.view_stored_content"
LOOKED_AT = "looked at"


@dataclass(frozen=True, slots=True)
class Side:
    """A request or an answer as text, JSON indented; `cut_at` is where it was cut, in bytes, or None."""

    text: str = field(repr=False)
    size: int
    cut_at: int | None


@dataclass(frozen=True, slots=True)
class ContentSeen:
    request: Side
    answer: Side
    delete_at: datetime


def content_look(*, request_id: str, actor: str) -> ContentSeen | None:
    """None where nothing is kept. The look is in the history before this returns. Raises SecretUnreadable."""
    row = StoredContent.objects.filter(pk=request_id, delete_at__gt=timezone.now()).first()
    if row is None:
        return None
    seen = ContentSeen(_side(row.request, row.request_bytes), _side(row.answer, row.answer_bytes), row.delete_at)
    change_record(actor=actor, action=LOOKED_AT, section=SECTION, name=f"request {request_id}")
    return seen


def content_is_kept(*, request_id: str) -> bool:
    return StoredContent.objects.filter(pk=request_id, delete_at__gt=timezone.now()).exists()


def _side(encrypted: bytes | memoryview, size: int) -> Side:
    plain = decrypt_bytes(bytes(encrypted)) if encrypted else b""
    return Side(_readable(plain), size, len(plain) if len(plain) < size else None)


def _readable(plain: bytes) -> str:
    try:
        return orjson.dumps(orjson.loads(plain), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:  # a stream, or cut
        return plain.decode(errors="replace")
