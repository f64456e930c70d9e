"""OpenAI, through its official SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from openai import AsyncOpenAI

from gateway.engine.configuration import Target
from gateway.engine.errors import UpstreamError
from gateway.engine.exchange import Ask
from gateway.engine.words import Operation, Wire
from gateway.providers.caller import HttpCaller
from gateway.providers.errors import ErrorReply, read_error, upstream_error
from gateway.wires.meanings import COMMON_STATUSES, OPENAI_CODES, OPENAI_SENTENCES, Meaning, by_class, by_sentence


def classify(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """What OpenAI's refusal means."""
    reply = read_error(body)
    return upstream_error(_meaning(status, reply), status, headers, body, reply)


def _meaning(status: int, reply: ErrorReply) -> Meaning:
    # https://platform.openai.com/docs/guides/error-codes: by name first, then by sentence, then by status
    named = OPENAI_CODES.get(reply.code) or OPENAI_CODES.get(reply.type)
    named = named or by_sentence(status, reply.message, OPENAI_SENTENCES)
    if named is not None and 400 <= status < 500:
        return named
    return COMMON_STATUSES.get(status) or by_class(status)


class OpenAICaller(HttpCaller):
    sdk_client = AsyncOpenAI
    paths: ClassVar[Mapping[Operation, str]] = {
        Operation.CHAT: "chat/completions",
        Operation.MESSAGES: "chat/completions",
        Operation.RESPONSES: "responses",
        Operation.EMBEDDINGS: "embeddings",
    }

    models_path: ClassVar[str] = "models"

    def headers(self, ask: Ask, target: Target) -> dict[str, str]:
        headers = dict(self.own_headers)
        passed_on = ("openai-beta", "traceparent") if ask.surface is Wire.OPENAI else ("traceparent",)
        headers.update((name, value) for name, value in ask.forwarded_headers.items() if name in passed_on)
        return headers

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return classify(status, headers, body)
