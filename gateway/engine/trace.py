"""Where a completion stands in a distributed trace (W3C Trace Context, https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_SAMPLED = 0x01
# version 00; later ones may add fields behind it. All zeros are no id.
_HEADER = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z")


@dataclass(frozen=True, slots=True)
class TraceParent:
    """The caller's part of a trace. Ids are 32 and 16 hexadecimal digits."""

    trace_id: str
    span_id: str
    sampled: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """A completion's part of a trace: its own span, and whose child that is ("": nobody's)."""

    trace_id: str
    span_id: str
    parent_span_id: str
    sampled: bool
    new_span_id: Callable[[], str]

    def header(self, span_id: str) -> str:
        """The `traceparent` that tells a provider that it works for that span."""
        return f"00-{self.trace_id}-{span_id}-{'01' if self.sampled else '00'}"


def traceparent_parse(text: str) -> TraceParent | None:
    """None for what isn't a traceparent: then a trace begins here."""
    found = _HEADER.match(text.strip())
    if found is None or (found[1] == "00" and found[5] is not None):
        return None
    return TraceParent(found[2], found[3], bool(int(found[4], 16) & _SAMPLED))
