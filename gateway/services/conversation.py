"""Which conversation a request belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.engine.errors import InvalidRequest
from gateway.services.random_tokens import random_token

_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")


def conversation_id(headers: Mapping[str, str], from_metadata: str | None) -> str:
    """`X-Conversation-Id`, else the body's `metadata.conversation_id`, else a new one. Raises InvalidRequest."""
    header = headers.get("x-conversation-id")
    if header is not None:
        return _checked(header, "X-Conversation-Id")
    if from_metadata is not None:
        return _checked(from_metadata, "metadata.conversation_id")
    return f"conv_{random_token()}"


def _checked(text: str, where: str) -> str:
    if not _ID.match(text):
        raise InvalidRequest(f"{where} must be 1 to 128 characters out of A-Z a-z 0-9 . _ : -", param=where)
    return text
