"""Anthropic, through its official SDK."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from gateway.engine.configuration import Target
from gateway.engine.errors import UpstreamError
from gateway.engine.exchange import Ask
from gateway.engine.words import Operation, Wire
from gateway.providers.anthropic_client import AsyncAnthropic
from gateway.providers.caller import NO_KEY, HttpCaller
from gateway.providers.errors import ErrorReply, read_error, upstream_error
from gateway.wires import Translated
from gateway.wires.meanings import ANTHROPIC_TYPES, COMMON_STATUSES, Meaning, by_class, by_sentence
from gateway.wires.prompt_prefix import with_prompt_prefix

# The version whose requests may carry sampling parameters; the next one refuses them.
VERSION_WITH_SAMPLING = "2023-06-01"

# A 400 of models that don't continue a last assistant message (Anthropic, "Prefill Claude's response").
NO_PREFILL = ("prefill", "must end with a user message")


def classify(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """What Anthropic's refusal means."""
    reply = read_error(body)
    error = upstream_error(_meaning(status, reply), status, headers, body, reply)
    error.refuses_prefill = status == 400 and _about_prefill(reply.message.lower())
    return error


def _about_prefill(said: str) -> bool:
    return any(sentence in said for sentence in NO_PREFILL)


def _meaning(status: int, reply: ErrorReply) -> Meaning:
    # https://docs.anthropic.com/en/api/errors: by type first, then by what a 400 says, then by status
    named = ANTHROPIC_TYPES.get(reply.type) or by_sentence(status, reply.message)
    return named or COMMON_STATUSES.get(status) or by_class(status)


class AnthropicCaller(HttpCaller):
    sdk_client = AsyncAnthropic
    paths: ClassVar[Mapping[Operation, str]] = {
        Operation.CHAT: "v1/messages",
        Operation.MESSAGES: "v1/messages",
        Operation.COUNT_TOKENS: "v1/messages/count_tokens",
    }

    models_path: ClassVar[str] = "v1/models"

    def headers(self, ask: Ask, target: Target) -> dict[str, str]:
        """The client's version and beta flags where it speaks this wire itself and names one; any other call names the
        version whose parameters its model takes (DESIGN, HTTP contract)."""
        headers = dict(self.own_headers)
        if target.traits.takes_sampling:
            headers["anthropic-version"] = VERSION_WITH_SAMPLING
        passed_on: tuple[str, ...] = ("traceparent",)
        if ask.surface is Wire.ANTHROPIC:
            passed_on = ("anthropic-version", "anthropic-beta", "traceparent")
        headers.update((name, value) for name, value in ask.forwarded_headers.items() if name in passed_on)
        if headers["anthropic-version"] == VERSION_WITH_SAMPLING:
            headers["x-api-key"] = self.provider.api_key or NO_KEY  # as the SDKs of that version send it
            headers.pop("authorization", None)
        return headers

    def _translate(self, ask: Ask, target: Target) -> Translated:
        translated = super()._translate(ask, target)
        if not ask.prompt_prefix:
            return translated
        return replace(translated, body=with_prompt_prefix(translated.body))

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return classify(status, headers, body)
