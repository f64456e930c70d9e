"""Ledger records as JSON and back, for the spool. A record that an older version spooled is still read: fields it lacks
get their defaults, fields nobody knows any more are left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson

from gateway.ledger.records import Extension, Intent, Settlement

SpooledRecord = Intent | Extension | Settlement
_KINDS: Mapping[str, type[SpooledRecord]] = {"intent": Intent, "extension": Extension, "settlement": Settlement}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def record_encode(record: SpooledRecord, at: float) -> bytes:
    """`at`: when it was spooled, seconds since 1970."""
    kind = _NAMES[type(record)]
    try:
        return orjson.dumps([kind, at, record], default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # half of a surrogate pair, in some provider's error text
        return json.dumps([kind, at, asdict(record)], default=_plain).encode()


def record_decode(data: bytes) -> tuple[SpooledRecord, float]:
    """The record, and when it was spooled. Raises ValueError, KeyError or TypeError for what is no record."""
    kind, at, fields = json.loads(data)
    record: SpooledRecord = _reader(_KINDS[kind])(fields)
    return record, float(at)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _reader(hint: Any) -> Callable[[Any], Any]:
    return _reader_of(hint)


@cache
def _reader_of(hint: Any) -> Callable[[Any], Any]:
    """What makes a value of that type out of its JSON."""
    if get_origin(hint) in (Union, UnionType):
        (inner,) = (_reader(one) for one in get_args(hint) if one is not type(None))
        return lambda value: None if value is None else inner(value)
    if get_origin(hint) is tuple:
        item = _reader(get_args(hint)[0])
        return lambda value: tuple(item(one) for one in value)
    if is_dataclass(hint):
        return _dataclass_reader(hint)
    if hint is datetime:
        return datetime.fromisoformat
    if hint is Decimal or (isinstance(hint, type) and issubclass(hint, Enum)):
        read: Callable[[Any], Any] = hint
        return read
    return lambda value: value


def _dataclass_reader(kind: Any) -> Callable[[Any], Any]:
    readers = {name: _reader(hint) for name, hint in get_type_hints(kind).items()}
    return lambda value: kind(**{name: read(value[name]) for name, read in readers.items() if name in value})
