"""OpenAI, through its official SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from openai import AsyncOpenAI

from gateway.engine.configuration import Provider, Target
from gateway.engine.errors import UpstreamError
from gateway.engine.exchange import Ask
from gateway.engine.words import FailureKind, Operation, Wire
from gateway.providers.caller import NO_KEY, HttpCaller, http_client
from gateway.providers.errors import COMMON_STATUSES, ErrorReply, Meaning, by_class, read_error, upstream_error

# Error codes by name come first, then the status; https://platform.openai.com/docs/guides/error-codes
BY_CODE: dict[str, Meaning] = {
    "context_length_exceeded": Meaning(FailureKind.CONTEXT_TOO_LONG),
    "content_policy_violation": Meaning(FailureKind.CONTENT_POLICY),
    "content_filter": Meaning(FailureKind.CONTENT_POLICY),
    "insufficient_quota": Meaning(FailureKind.QUOTA_EXHAUSTED, counts_against_breaker=True),
    "billing_hard_limit_reached": Meaning(FailureKind.QUOTA_EXHAUSTED, counts_against_breaker=True),
    "billing_not_active": Meaning(FailureKind.QUOTA_EXHAUSTED, counts_against_breaker=True),
    "model_not_found": Meaning(FailureKind.MODEL_NOT_FOUND),
}


def classify(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """What OpenAI's refusal means."""
    reply = read_error(body)
    return upstream_error(_meaning(status, reply), status, headers, body, reply)


def _meaning(status: int, reply: ErrorReply) -> Meaning:
    named = BY_CODE.get(reply.code) or BY_CODE.get(reply.type)
    if named is not None and 400 <= status < 500:
        return named
    return COMMON_STATUSES.get(status) or by_class(status)


class OpenAICaller(HttpCaller):
    paths: ClassVar[Mapping[Operation, str]] = {
        Operation.CHAT: "chat/completions",
        Operation.MESSAGES: "chat/completions",
        Operation.RESPONSES: "responses",
        Operation.EMBEDDINGS: "embeddings",
    }

    def __init__(self, provider: Provider) -> None:
        http = http_client(provider)
        self.sdk = AsyncOpenAI(
            api_key=provider.api_key or NO_KEY,
            base_url=provider.base_url,
            max_retries=0,
            timeout=None,
            http_client=http,
        )
        super().__init__(
            provider,
            http,
            str(self.sdk.base_url),
            sdk_headers=self.sdk.default_headers,
            auth_headers=self.sdk.auth_headers,
        )

    def headers(self, ask: Ask, target: Target) -> dict[str, str]:
        headers = dict(self.own_headers)
        passed_on = ("openai-beta", "traceparent") if ask.surface is Wire.OPENAI else ("traceparent",)
        headers.update((name, value) for name, value in ask.forwarded_headers.items() if name in passed_on)
        return headers

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return classify(status, headers, body)
