"""A whole answer's headers on their way to the server."""

from __future__ import annotations

from collections.abc import MutableMapping
from email.header import decode_header, make_header
from typing import Any

from gateway.api.asgi import send_response
from gateway.api.replies import PlainResponse
from gateway.services.work import PlainReply


async def test_a_model_whose_name_no_header_can_carry_is_told_encoded() -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await send_response(PlainResponse(PlainReply(b"{}", {"x-llmops-model": "模型"}), "req_1"), send)
    told = dict(sent[0]["headers"])[b"x-llmops-model"].decode("ascii")
    assert str(make_header(decode_header(told))) == "模型"  # in either of RFC 2047's encodings
