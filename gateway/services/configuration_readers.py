"""Readers of the configuration file's values: each takes a value and its path, and reports what is wrong there.

A reader never raises: it adds to `problems` and returns None. Values of secret fields are never repeated.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from gateway.bounds import Bounds

Reader = Callable[[Any, str, "Problems"], Any]
MAX_LIST_ITEMS = 5_000


@dataclass(frozen=True, slots=True)
class Problem:
    """`path` is like `routes[0].targets[1].provider`; "" is the file itself."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class Problems(list[Problem]):
    def tell(self, path: str, message: str) -> None:
        self.append(Problem(path, message))


class Wrong(Exception):
    """A value that can't be used; the message completes the sentence "this field …"."""


REQUIRED: Any = dataclasses.MISSING


def item(read: Reader, default: Any = REQUIRED, *, secret: bool = False) -> Any:
    """A field of an entry: how it is read, what it is when absent, whether its value must stay out of sight."""
    return field(default=default, repr=not secret, metadata={"read": read, "secret": secret})


def leaf(check: Callable[[Any], Any]) -> Reader:
    def read(value: Any, path: str, problems: Problems) -> Any:
        try:
            return check(value)
        except Wrong as wrong:
            problems.tell(path, str(wrong))
            return None

    return read


def nullable(read: Reader) -> Reader:
    return lambda value, path, problems: None if value is None else read(value, path, problems)


def shown(value: Any) -> str:
    """A value in an error message, briefly."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a mapping"
    text = str(value)
    text = text if len(text) <= 40 else text[:40] + "…"
    return f'"{text}"' if isinstance(value, str) else text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def text(maximum: int = 200, *, secret: bool = False, check: Callable[[str], str | None] | None = None) -> Reader:
    """Non-empty text. `check` gives what is wrong with it, or None."""

    def read(value: Any) -> str:
        if isinstance(value, Decimal | bool):
            raise Wrong("must be text; put it in quotes")
        if not isinstance(value, str) or not value:
            raise Wrong("must be text" if secret else f"must be text, not {shown(value)}")
        if len(value) > maximum:
            raise Wrong(f"must be at most {maximum} characters long")
        problem = check(value) if check else None
        if problem:
            raise Wrong(problem if secret else f"{problem}, not {shown(value)}")
        return value

    return leaf(read)


def matching(pattern: Any, message: str) -> Callable[[str], str | None]:
    return lambda value: None if pattern.match(value) else message


@leaf
def boolean(value: Any) -> bool:
    words = {"yes": True, "on": True, "no": False, "off": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    if not isinstance(value, bool):
        raise Wrong(f"must be true or false, not {shown(value)}")
    return value


def decimal(bounds: Bounds, places: int) -> Reader:
    def read(value: Any) -> Decimal:
        number = _number(value, bounds, "a number")
        if number != round(number, places):
            raise Wrong(f"must have at most {places} decimals")
        return number

    return leaf(read)


def seconds(bounds: Bounds) -> Reader:
    return leaf(lambda value: float(_number(value, bounds, "a number of seconds")))


def number(bounds: Bounds) -> Reader:
    return leaf(lambda value: float(_number(value, bounds, "a number")))


def whole(bounds: Bounds) -> Reader:
    def read(value: Any) -> int:
        amount = _number(value, bounds, "a whole number")
        if amount != amount.to_integral_value():
            raise Wrong(f"must be a whole number, not {shown(value)}")
        return int(amount)

    return leaf(read)


def _number(value: Any, bounds: Bounds, what: str) -> Decimal:
    """Numbers may be quoted, as amounts of money usually are."""
    amount = value
    if isinstance(value, str):
        try:
            amount = Decimal(value) if len(value) <= 40 and value.isascii() else None
        except ArithmeticError:
            amount = None
    if not isinstance(amount, Decimal) or not amount.is_finite():
        raise Wrong(f"must be {what}, not {shown(value)}")
    if not bounds.holds(amount):
        raise Wrong(f"must be {what}, {bounds}, not {shown(value)}")
    return amount


def choice(words: type[StrEnum]) -> Reader:
    def read(value: Any) -> str:
        known = [word.value for word in words]
        if value not in known:
            raise Wrong(f"must be one of {', '.join(known)}, not {shown(value)}")
        return str(value)

    return leaf(read)


@leaf
def moment(value: Any) -> datetime:
    """A point in time; without a zone it is UTC, a date alone is its first moment."""
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise Wrong(f'must be a time such as "2027-01-31T00:00:00Z", not {shown(value)}') from None


def list_of(read: Reader, *, at_least: int = 0) -> Reader:
    """A tuple as long as the list; what could not be read is None in it, so that positions stay true."""

    def read_list(value: Any, path: str, problems: Problems) -> tuple[Any, ...]:
        if not isinstance(value, list):
            problems.tell(path, f"must be a list, not {shown(value)}")
            return ()
        if not at_least <= len(value) <= MAX_LIST_ITEMS:
            problems.tell(path, f"must have at least {at_least} and at most {MAX_LIST_ITEMS:,} entries")
            return ()
        return tuple(read(each, f"{path}[{position}]", problems) for position, each in enumerate(value))

    return read_list


def entry(cls: type[Any]) -> Reader:
    """A mapping with the fields of `cls`; its `problems()`, where it has one, checks the fields together."""

    def read(value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, dict):
            problems.tell(path, f"must be a mapping, not {shown(value)}")
            return None
        before = len(problems)
        values = _fields(cls, value, path, problems)
        if len(problems) > before:
            # Kept for the reference checks, as far as it could be read.
            return cls(**values)
        found = cls(**values)
        if hasattr(found, "problems"):
            for name, message in found.problems():
                problems.tell(_join(path, name), message)
        return found

    return read


def _fields(cls: type[Any], value: dict[str, Any], path: str, problems: Problems) -> dict[str, Any]:
    known = {spec.name: spec for spec in dataclasses.fields(cls)}
    for name in value:
        if name not in known:
            hint = did_you_mean(name, known) or f"; known: {', '.join(known)}"
            problems.tell(_join(path, name[:60]), f"unknown field{hint}")
    values: dict[str, Any] = {}
    for name, spec in known.items():
        if name in value:
            values[name] = spec.metadata["read"](value[name], _join(path, name), problems)
        elif spec.default is dataclasses.MISSING:
            problems.tell(_join(path, name), "is missing")
            values[name] = None
    return values


def _join(path: str, name: str) -> str:
    return ".".join(part for part in (path, name) if part)
