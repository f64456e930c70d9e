"""Asking a provider how it is: the cheapest call it has, on the way every call takes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import orjson

from gateway.engine.configuration import Provider, Target
from gateway.engine.errors import GatewayError, UpstreamError
from gateway.engine.exchange import Ask
from gateway.engine.words import FailureKind, Operation, Wire
from gateway.providers.registry import make_caller

# Nobody waits longer for a health check, whatever the provider's attempts may take.
LONGEST_SECONDS = 10.0
# Some models refuse to answer in one token; asked of every model, this is as small as a real call gets.
OUTPUT_TOKENS = 1
THE_LIST = "the list of models"
HIDDEN = "[hidden]"
_SHORTEST_SECRET = 6


@dataclass(frozen=True, slots=True)
class Health:
    """What came of it. `outcome` is "ok" or the failure's kind; `words` is a sentence for people, without secrets.

    `asked` is the model that was called, or the list of models.
    """

    asked: str
    ok: bool
    outcome: str
    words: str
    status: int | None
    latency_ms: int


async def provider_health(provider: Provider, model: str | None) -> Health:
    """One real call: to `model` for one token, or without one to the list of models, which costs nothing.

    Raises nothing that the provider, its address or its key could cause; takes ten seconds at most.
    """
    limit_seconds = min(provider.timeouts.attempt_seconds, LONGEST_SECONDS)
    began = time.monotonic()
    try:
        async with asyncio.timeout(limit_seconds):
            await _call(provider, model)
    except UpstreamError as error:
        failure = error
    except TimeoutError:
        failure = UpstreamError(FailureKind.TIMEOUT, f"no answer within {limit_seconds:g} s")
    except GatewayError as error:
        failure = UpstreamError(FailureKind.INVALID_REQUEST, error.message)
    except Exception as error:  # an address or a header that the client can't be made with
        failure = UpstreamError(FailureKind.CONNECTION, f"it can't be called as configured: {type(error).__name__}")
    else:
        took_ms = _elapsed_ms(began)
        answered = f"{model} answered" if model else "the list of models came"
        return Health(model or THE_LIST, True, "ok", f"Works: {answered} in {took_ms} ms.", 200, took_ms)
    words = _without_secrets(failure_words(failure, model), provider)
    return Health(model or THE_LIST, False, failure.kind.value, words, failure.status, _elapsed_ms(began))


async def _call(provider: Provider, model: str | None) -> None:
    caller = make_caller(provider)
    try:
        if model is None:
            await caller.list_models()
        else:
            await caller.answer(_ask(provider, model), Target.of(provider, model))
    finally:
        await caller.aclose()


def _ask(provider: Provider, model: str) -> Ask:
    """In the provider's own wire; the limit is sent in the field that the model takes."""
    payload = {"model": model, "messages": [{"role": "user", "content": "ping"}]}
    return Ask(
        request_id="health-probe",
        surface=provider.kind,
        payload=payload,
        body=orjson.dumps(payload),
        stream=False,
        default_output_tokens=OUTPUT_TOKENS,
        bound_output=True,
        operation=Operation.CHAT if provider.kind is Wire.OPENAI else Operation.MESSAGES,
    )


def failure_words(error: UpstreamError, model: str | None) -> str:
    """What the failure means for whoever has to mend it, and what the provider said."""
    status = f" (HTTP {error.status})" if error.status else ""
    return f"{_meaning(error, model)}{status}: {error.message}"[:600]


def _meaning(error: UpstreamError, model: str | None) -> str:
    if error.kind is FailureKind.CONNECTION:
        return _connection_meaning(error.message)
    if error.kind is FailureKind.MODEL_NOT_FOUND:
        return f"Model {model!r} unknown to the provider" if model else "The provider has no list of models here"
    return _MEANINGS.get(error.kind, "The call failed")


_MEANINGS = {
    FailureKind.TIMEOUT: "Timed out",
    FailureKind.RATE_LIMITED: "Rate limited: the provider is alive but wants fewer requests",
    FailureKind.QUOTA_EXHAUSTED: "Quota exhausted: the account has no credit left",
    FailureKind.SERVER_ERROR: "The provider has an error of its own",
    FailureKind.UNREADABLE: "Not an answer that this wire format promises; is the base URL right?",
    FailureKind.REJECTED_US: "API key rejected",
    FailureKind.INVALID_REQUEST: "The provider is alive but refuses this request",
}


def _connection_meaning(message: str) -> str:
    """By the words of the socket's and the TLS library's errors, which carry no better mark through the client."""
    said = message.lower()
    if "ssl" in said.replace("ssl:default", "").replace("ssl:none", "").replace("ssl:true", "") or "certif" in said:
        return "TLS failed: the certificate or protocol is not accepted"
    if "name or service" in said or "name resolution" in said or "nodename" in said or "getaddrinfo" in said:
        return "Host name not found"
    if "refused" in said or "connect call failed" in said:
        return "Connection refused: nothing listens at this address"
    return "No connection"


def _without_secrets(text: str, provider: Provider) -> str:
    """A provider may quote the key or a header it was sent."""
    for secret in (provider.api_key, *provider.extra_headers.values()):
        if secret and len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN)
    return "".join(character if character.isprintable() else " " for character in text)


def _elapsed_ms(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
