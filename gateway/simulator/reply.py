"""A prepared reply: what delivery and faults need to know of it, whatever the wire."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from gateway.simulator.bill import Usage
from gateway.simulator.errors import WireError


class Part(Enum):
    """Which part of a stream an event is."""

    START = auto()  # of the stream or of an item in it, or an earlier item's end: no fault strikes before it
    TOKEN = auto()
    FINISH = auto()  # carries the finish reason
    USAGE = auto()  # carries token counts and nothing else
    END = auto()  # the terminator


class Event(NamedTuple):
    """One server-sent event, ready to send, and how many tokens were generated for it."""

    data: bytes
    part: Part
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """An accepted request's answer. ``plain`` and ``events`` are told whether usage is to be given.

    ``failure`` gives the event, or events, with which this stream tells of an error.
    """

    model: str
    stream: bool
    usage: Usage
    headers: bytes
    plain: Callable[[bool], bytes]
    events: Callable[[bool], Iterator[Event]]
    malformed_event: bytes
    failure: Callable[[WireError], bytes]
