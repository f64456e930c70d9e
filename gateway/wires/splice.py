"""Changing a few top-level values of a JSON object without touching any other byte.

The bytes are known to be valid JSON when they come here (they were parsed before).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

import orjson

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SPACE = re.compile(rb"[ \t\r\n]*+")
_SCALAR_END = re.compile(rb"[,}]")
_QUOTE, _OPEN, _COMMA = b'"'[0], frozenset(b"{["), b","[0]
# An ASCII letter written as an escape, which no serializer does, in what might be one of our keys: after the last such
# letter there are only plain ones, the key's end and a colon.
_HIDING_IN_KEY = re.compile(rb'\\u00[4-7][0-9A-Fa-f][a-z_]*+"[ \t\r\n]*+:')
# Reads a whole list or object at once, in C; what it makes of numbers is of no interest.
_NESTED = json.JSONDecoder(parse_int=len, parse_float=len)
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
    """The first of the `guarded` keys that stands twice at the top level."""
    suspected = any(_occurs_twice(body, key) for key in guarded)
    if not suspected and not _HIDING_IN_KEY.search(body):
        return None
    names = {orjson.loads(key) for key in guarded}
    seen: set[str] = set()
    for key, _, _ in top_level(body):
        if key in seen:
            return key
        if key in names:
            seen.add(key)
    return None


def _occurs_twice(body: bytes, key: bytes) -> bool:
    """Whether it stands twice anywhere, as a key; the first and the last place tell without looking at the others."""
    first = body.find(key)
    return first >= 0 and body.rfind(key) > first


def top_level(body: bytes) -> list[tuple[str, int, int]]:
    """The object's keys with the start and end of each value, in the order of the bytes."""
    found: list[tuple[str, int, int]] = []
    text = ""
    at = _after_space(body, body.index(b"{") + 1)
    while body[at] == _QUOTE:
        key_end = _string_end(body, at)
        start = _after_space(body, body.index(b":", key_end) + 1)
        if body[start] == _QUOTE:
            end = _string_end(body, start)
        elif body[start] in _OPEN:
            text = text or body.decode("latin-1")  # one character for each byte, so that places are the same
            end = _NESTED.raw_decode(text, start)[1]
        else:
            end = _scalar_end(body, start)
        found.append((orjson.loads(body[at:key_end]), start, end))
        at = _after_space(body, end)
        if body[at] == _COMMA:
            at = _after_space(body, at + 1)
    return found


def _string_end(body: bytes, at: int) -> int:
    match = _STRING.match(body, at)
    assert match is not None  # valid JSON
    return match.end()


def _after_space(body: bytes, at: int) -> int:
    match = _SPACE.match(body, at)
    assert match is not None  # it may be empty
    return match.end()


def _scalar_end(body: bytes, at: int) -> int:
    match = _SCALAR_END.search(body, at)
    assert match is not None  # valid JSON
    end = match.start()
    while body[end - 1] in b" \t\r\n":
        end -= 1
    return end


def with_model(body: bytes, model: bytes) -> bytes:
    """The body with its top-level `model` replaced by this JSON string."""
    if body.count(b'"model"') == 1 and not _HIDING_IN_KEY.search(body):
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
