"""Changing a few top-level values of a JSON object without touching any other byte.

The bytes are known to be valid JSON when they come here (they were parsed before).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import orjson

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\]:,]', re.DOTALL)
# Inside a value only the brackets matter: everything up to the next one is passed in one step.
_NEXT_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+[\[\]{}]', re.DOTALL)
_OPEN, _CLOSE = frozenset(b"{["), frozenset(b"}]")
_COLON, _QUOTE = b":"[0], b'"'[0]
# ASCII letters written as escapes, which no serializer does: a key might hide behind them.
_HIDING = re.compile(rb"\\u00[4-7]")
# The top-level keys that must mean the same to us and to the provider. A key written with escapes counts as well.
GUARDED = (
    b'"model"',
    b'"stream"',
    b'"max_tokens"',
    b'"max_completion_tokens"',
    b'"n"',
    b'"messages"',
    b'"tools"',
)
_MODEL_VALUE = re.compile(rb'"model"\s*:\s*("(?:[^"\\]++|\\.)*+")')


def repeated_keys(body: bytes, guarded: Sequence[bytes] = GUARDED) -> str | None:
    """A top-level key that occurs twice, if one of the `guarded` is suspected of it."""
    if all(body.count(key) < 2 for key in guarded) and not _HIDING.search(body):
        return None
    seen: set[str] = set()
    for key, _, _ in top_level(body):
        if key in seen:
            return key
        seen.add(key)
    return None


def top_level(body: bytes) -> list[tuple[str, int, int]]:
    """The object's keys with the start and end of each value, in the order of the bytes."""
    found: list[tuple[str, int, int]] = []
    depth, at = 0, 0
    key, start = "", -1  # of the value under way, where there is one
    last_string = b""
    while match := (_TOKEN if depth < 2 else _NEXT_BRACKET).search(body, at):
        at = match.end()
        last = body[at - 1]
        if last in _OPEN:
            depth += 1
            continue
        if depth == 1 and last == _COLON:
            key, start = orjson.loads(last_string), at
        elif depth == 1 and last == _QUOTE:
            last_string = match.group()
        elif depth == 1 and start >= 0:  # a comma or the end of the object
            found.append((key, *_trimmed(body, start, at - 1)))
            start = -1
        if last in _CLOSE:
            depth -= 1
    return found


def _trimmed(body: bytes, start: int, end: int) -> tuple[int, int]:
    while body[start] in b" \t\r\n":
        start += 1
    while body[end - 1] in b" \t\r\n":
        end -= 1
    return start, end


def with_model(body: bytes, model: bytes) -> bytes:
    """The body with its top-level `model` replaced by this JSON string."""
    if body.count(b'"model"') == 1 and not _HIDING.search(body):
        match = _MODEL_VALUE.search(body)
        if match is not None:
            return body[: match.start(1)] + model + body[match.end(1) :]
    return with_values(body, {"model": model})


def with_values(body: bytes, values: Mapping[str, bytes | None]) -> bytes:
    """The body with these top-level values (as JSON) replaced or, if absent, added at the end; None removes a key."""
    spans = top_level(body)
    kept = [(key, start, end) for key, start, end in spans if values.get(key, b"") is not None]
    if len(kept) != len(spans):
        parts = [orjson.dumps(key) + b":" + (values.get(key) or body[start:end]) for key, start, end in kept]
        present = {key for key, _, _ in kept}
        parts += [
            orjson.dumps(key) + b":" + new for key, new in values.items() if new is not None and key not in present
        ]
        return b"{" + b",".join(parts) + b"}"
    return _spliced(body, spans, values)


def _spliced(body: bytes, spans: list[tuple[str, int, int]], values: Mapping[str, bytes | None]) -> bytes:
    pieces, at = [], 0
    for key, start, end in spans:
        new = values.get(key)
        if new is not None:
            pieces += [body[at:start], new]
            at = end
    present = {key for key, _, _ in spans}
    added = [orjson.dumps(key) + b":" + new for key, new in values.items() if new is not None and key not in present]
    if added:
        close = body.rindex(b"}")
        pieces += [body[at:close].rstrip(), b"," if spans else b"", b",".join(added)]
        at = close
    pieces.append(body[at:])
    return b"".join(pieces)
