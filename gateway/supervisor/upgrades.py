"""Requests that offer another protocol (`Upgrade: h2c`, as Java's own HTTP client sends it) are answered in HTTP/1.1.

A server may ignore the offer (RFC 9110, section 7.8). The parser can't: it takes what follows the head for the other
protocol, so the request's body would be lost. Such a head is therefore parsed a second time without the offer.
"""

from __future__ import annotations

import sys
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_OF_THE_OFFER = (b"upgrade", b"http2-settings")


class OfferIgnoringProtocol(HttpToolsProtocol):
    """Speaks HTTP/1.1, whatever its client offers beside it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_again: bytes | None = None
        self._head_ended_at = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        while self._head_again is not None:
            data, self._head_again = self._head_again + data[self._head_ended_at :], None
            self.parser = httptools.HttpRequestParser(self)
            super().data_received(data)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._head_again = self._head_without_offer()
        else:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if self._head_again is None:
            super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Called while what the parser raised is handled, which says how far it came."""
        offered = sys.exception()
        if isinstance(offered, httptools.HttpParserUpgrade):
            self._head_ended_at = int(offered.args[0])

    def _head_without_offer(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version]
        for name, value in self.headers:
            if name == b"connection":
                value = b", ".join(token for token in _tokens(value) if token.lower() not in _OF_THE_OFFER)
            if name not in _OF_THE_OFFER:
                lines.append(name + b": " + value)
        return b"\r\n".join(lines) + b"\r\n\r\n"


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip() for token in value.split(b",")]
