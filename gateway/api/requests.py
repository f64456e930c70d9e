"""What the operations read of a request."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import HttpRequest

from gateway.engine.words import Wire

ANTHROPIC_PATHS = "/v1/messages"
SHARED_PATHS = ("/v1/models", "/v1/feedback")


def lower_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header names in lower case; of several with one name the first counts."""
    headers: dict[str, str] = {}
    for name, value in raw:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return headers


def headers_of(request: HttpRequest) -> dict[str, str]:
    headers: dict[str, str] = lower_headers(request.scope["headers"])  # type: ignore[attr-defined]
    return headers


def surface_of(path: str, headers: dict[str, str]) -> Wire:
    """Surfaces are told apart by path; what both have by Anthropic's version header."""
    shared = path.startswith(SHARED_PATHS) and "anthropic-version" in headers
    return Wire.ANTHROPIC if shared or path.startswith(ANTHROPIC_PATHS) else Wire.OPENAI
