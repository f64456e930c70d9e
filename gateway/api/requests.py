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


def headers_read(request: HttpRequest, headers: dict[str, str]) -> None:
    """So that `headers_of` needn't read them again."""
    request.llmops_headers = headers  # type: ignore[attr-defined]


def headers_of(request: HttpRequest) -> dict[str, str]:
    """The request's, read once."""
    headers: dict[str, str] | None = getattr(request, "llmops_headers", None)
    if headers is None:
        headers = lower_headers(request.scope["headers"])  # type: ignore[attr-defined]
        headers_read(request, headers)
    return headers


def surface_of(path: str, headers: dict[str, str]) -> Wire:
    """Surfaces are told apart by path; what both have by Anthropic's version header."""
    shared = path.startswith(SHARED_PATHS) and "anthropic-version" in headers
    return Wire.ANTHROPIC if shared or path.startswith(ANTHROPIC_PATHS) else Wire.OPENAI
