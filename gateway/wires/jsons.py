"""JSON in and out: orjson, with the standard library where integers are too big for it."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from gateway.engine.errors import InvalidRequest

_BIG_INTEGER = re.compile(rb"\d{20}")


def loads_exact(data: bytes | str) -> Any:
    """Like `orjson.loads`, but integers of any size stay integers. Raises ValueError."""
    raw = data.encode() if isinstance(data, str) else data
    parsed = orjson.loads(raw)
    return json.loads(raw) if _BIG_INTEGER.search(raw) else parsed


def dumps(value: Any) -> bytes:
    """Compact JSON. Raises InvalidRequest where a value is nested deeper than can be written."""
    try:
        return orjson.dumps(value)
    except TypeError as error:
        return _dumps_slowly(value, error)


def _dumps_slowly(value: Any, error: TypeError) -> bytes:
    if "64-bit" in str(error):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    raise InvalidRequest("The request is nested too deeply, or its text can't be written as UTF-8.") from error


def dumps_text(value: Any) -> str:
    return dumps(value).decode()
