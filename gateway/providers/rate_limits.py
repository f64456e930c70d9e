"""What a provider's headers say of its rate limits, for a client that speaks its wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.engine.exchange import NO_HEADERS
from gateway.engine.words import Wire

# OpenAI, "Rate limits in headers"; Anthropic, "Rate limits: response headers".
PREFIXES = {Wire.OPENAI: b"x-ratelimit-", Wire.ANTHROPIC: b"anthropic-ratelimit-"}
MOST_HEADERS = 24
LONGEST_VALUE = 100


def rate_limits(kind: Wire, surface: Wire, raw_headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    """The hints, lower-case names; none where the client speaks another wire and wouldn't know them."""
    if kind is not surface:
        return NO_HEADERS
    prefix = PREFIXES[kind]
    found = [(name.lower(), value) for name, value in raw_headers if name[: len(prefix)].lower() == prefix]
    if not found:
        return NO_HEADERS
    texts = ((name.decode("ascii", "replace"), value.decode("latin-1")) for name, value in found[:MOST_HEADERS])
    return {name: value for name, value in texts if _plain(name) and _plain(value)}


def _plain(text: str) -> bool:
    """Fit to be sent on in a header."""
    return len(text) <= LONGEST_VALUE and text.isascii() and text.isprintable()
