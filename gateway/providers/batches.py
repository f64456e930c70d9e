"""The providers' own batch interfaces, through their official SDKs.

Sources: OpenAI, "Batch API"; Anthropic, "Batch processing". Everything raises `BatchCallFailed`, and nothing is tried
again here: the sweep comes by anyway.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import anthropic
import httpx2
import openai
import orjson

from gateway.engine.configuration import Provider, Target
from gateway.engine.errors import UpstreamError
from gateway.engine.words import Operation, Wire
from gateway.providers.anthropic import VERSION_WITH_SAMPLING
from gateway.providers.anthropic import classify as anthropic_classify
from gateway.providers.caller import NO_KEY
from gateway.providers.openai import classify as openai_classify

CALL_SECONDS = 60.0
TOKEN = "llmops_job"  # noqa: S105  # the metadata entry that marks a batch as ours
# Refusals that trying again doesn't change: our request, our key, or a provider that has no batches.
_FINAL = frozenset({400, 401, 402, 403, 404, 405, 413, 422})
# Clocks of providers and ours may differ by so much.
_SKEW_SECONDS = 120.0


class BatchCallFailed(Exception):
    """`made_nothing`: it is certain that the call left nothing behind. `final`: another try would fail as well."""

    def __init__(self, message: str, *, made_nothing: bool, final: bool = False) -> None:
        super().__init__(message[:300])
        self.made_nothing = made_nothing
        self.final = final


@dataclass(frozen=True, slots=True)
class LineResult:
    """What a provider says of one line: an answer or error `body`; `status` None: it never came to it."""

    custom_id: str
    status: int | None
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to whether a batch exists after all; `undecided`: one of them may be it, which only time can tell."""

    upstream_id: str = ""
    undecided: bool = False


class ProviderBatches(ABC):
    """One provider's batches. `create` makes one of `lines` (custom_id and request body) marked with `token`."""

    @abstractmethod
    def create(self, token: str, operation: Operation, lines: Iterable[tuple[str, bytes]]) -> str: ...

    @abstractmethod
    def find(self, token: str, ids: frozenset[str], since: datetime, known: frozenset[str]) -> Found:
        """Look for a batch that was asked for at `since`; `known` are those that belong to other jobs."""

    @abstractmethod
    def ended(self, upstream_id: str) -> bool: ...

    @abstractmethod
    def cancel(self, upstream_id: str) -> None: ...

    @abstractmethod
    def results(self, upstream_id: str) -> Iterator[LineResult]: ...

    @abstractmethod
    def close(self) -> None: ...


class OpenAIBatches(ProviderBatches):
    def __init__(self, provider: Provider) -> None:
        self._sdk = openai.OpenAI(
            api_key=provider.api_key or NO_KEY,
            base_url=provider.base_url,
            default_headers=dict(provider.extra_headers),
            max_retries=0,
            timeout=CALL_SECONDS,
        )

    def create(self, token: str, operation: Operation, lines: Iterable[tuple[str, bytes]]) -> str:
        with _failures(made_nothing=True):
            content = b"".join(_openai_line(custom_id, body, operation) for custom_id, body in lines)
            file = self._sdk.files.create(file=(f"{token}.jsonl", content), purpose="batch")
        path: Any = _path(operation)
        with _failures():
            batch = self._sdk.batches.create(
                input_file_id=file.id, endpoint=path, completion_window="24h", metadata={TOKEN: token}
            )
        return batch.id

    def find(self, token: str, ids: frozenset[str], since: datetime, known: frozenset[str]) -> Found:
        oldest = since.timestamp() - _SKEW_SECONDS
        with _failures():
            for batch in self._sdk.batches.list(limit=100):
                if (batch.metadata or {}).get(TOKEN) == token:
                    return Found(batch.id)
                if batch.created_at < oldest:
                    break
        return Found()

    def ended(self, upstream_id: str) -> bool:
        with _failures():
            return self._sdk.batches.retrieve(upstream_id).status in ("completed", "failed", "expired", "cancelled")

    def cancel(self, upstream_id: str) -> None:
        with _failures():
            self._sdk.batches.cancel(upstream_id)

    def results(self, upstream_id: str) -> Iterator[LineResult]:
        with _failures():
            batch = self._sdk.batches.retrieve(upstream_id)
            for file_id in (batch.output_file_id, batch.error_file_id):
                if file_id is not None:
                    with self._sdk.files.with_streaming_response.content(file_id) as content:
                        for raw in content.iter_lines():
                            yield _openai_result(raw)

    def close(self) -> None:
        self._sdk.close()


class AnthropicBatches(ProviderBatches):
    """Anthropic keeps no marks on batches; ours are known by the `custom_id`s of their results."""

    def __init__(self, provider: Provider, target: Target) -> None:
        self._sdk = anthropic.Anthropic(
            api_key=provider.api_key or NO_KEY,
            base_url=provider.base_url,
            default_headers=dict(provider.extra_headers),
            max_retries=0,
            timeout=CALL_SECONDS,
        )
        self._headers: dict[str, Any] = {}
        if target.traits.takes_sampling:
            self._headers = {
                "anthropic-version": VERSION_WITH_SAMPLING,
                "x-api-key": provider.api_key or NO_KEY,
                "authorization": anthropic.Omit(),
            }

    def create(self, token: str, operation: Operation, lines: Iterable[tuple[str, bytes]]) -> str:
        requests: list[Any] = [{"custom_id": custom_id, "params": orjson.loads(body)} for custom_id, body in lines]
        with _failures():
            return self._sdk.messages.batches.create(requests=requests, extra_headers=self._headers).id

    def find(self, token: str, ids: frozenset[str], since: datetime, known: frozenset[str]) -> Found:
        undecided = False
        with _failures():
            for batch in self._sdk.messages.batches.list(limit=100, extra_headers=self._headers):
                if batch.created_at.astimezone(UTC).timestamp() < since.timestamp() - _SKEW_SECONDS:
                    break
                counts = batch.request_counts
                total = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
                if batch.id in known or total != len(ids):
                    continue
                if batch.processing_status != "ended":
                    undecided = True
                elif next(self.results(batch.id)).custom_id in ids:
                    return Found(batch.id)
        return Found(undecided=undecided)

    def ended(self, upstream_id: str) -> bool:
        with _failures():
            batch = self._sdk.messages.batches.retrieve(upstream_id, extra_headers=self._headers)
        return batch.processing_status == "ended"

    def cancel(self, upstream_id: str) -> None:
        with _failures():
            self._sdk.messages.batches.cancel(upstream_id, extra_headers=self._headers)

    def results(self, upstream_id: str) -> Iterator[LineResult]:
        batches = self._sdk.messages.batches.with_streaming_response
        with _failures(), batches.results(upstream_id, extra_headers=self._headers) as content:
            for raw in content.iter_lines():
                if raw.strip():
                    yield _anthropic_result(raw)

    def close(self) -> None:
        self._sdk.close()


def provider_batches(target: Target) -> ProviderBatches:
    if target.provider.kind is Wire.OPENAI:
        return OpenAIBatches(target.provider)
    return AnthropicBatches(target.provider, target)


def refusal_of(kind: Wire, status: int, body: bytes) -> UpstreamError:
    """What a provider's refusal of one line means."""
    classify = openai_classify if kind is Wire.OPENAI else anthropic_classify
    error = classify(status, {}, body)
    error.wire, error.status, error.body = kind, status, body
    return error


def _path(operation: Operation) -> str:
    return "/v1/embeddings" if operation is Operation.EMBEDDINGS else "/v1/chat/completions"


def _openai_line(custom_id: str, body: bytes, operation: Operation) -> bytes:
    line = {"custom_id": custom_id, "method": "POST", "url": _path(operation), "body": orjson.Fragment(body)}
    return orjson.dumps(line) + b"\n"


def _openai_result(raw: str) -> LineResult:
    line = orjson.loads(raw)
    response = line.get("response")
    if response is None:
        return LineResult(line["custom_id"], None)
    return LineResult(line["custom_id"], int(response["status_code"]), orjson.dumps(response["body"]))


# Anthropic, "Errors": what each type of error has for a status; what isn't listed is the provider's own failure.
_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
}


def _anthropic_result(raw: str) -> LineResult:
    line = orjson.loads(raw)
    result = line["result"]
    if result["type"] == "succeeded":
        return LineResult(line["custom_id"], 200, orjson.dumps(result["message"]))
    if result["type"] != "errored":
        return LineResult(line["custom_id"], None)
    error = result["error"]
    kind = (error.get("error") or {}).get("type", "")
    return LineResult(line["custom_id"], _STATUS_OF_TYPE.get(kind, 500), orjson.dumps(error))


@contextmanager
def _failures(*, made_nothing: bool = False) -> Iterator[None]:
    """Both SDKs' errors as one. With `made_nothing` whatever the call left behind costs nothing."""
    try:
        yield
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        refused = error.status_code < 500
        raise BatchCallFailed(
            f"HTTP {error.status_code}: {error.message}",
            made_nothing=made_nothing or refused,
            final=error.status_code in _FINAL,
        ) from error
    except (openai.APIConnectionError, anthropic.APIConnectionError) as error:
        never_sent = isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
        raise BatchCallFailed(f"no answer: {error}", made_nothing=made_nothing or never_sent) from error
    except (openai.OpenAIError, anthropic.AnthropicError, httpx2.HTTPError, ValueError, LookupError) as error:
        raise BatchCallFailed(f"no readable answer: {error}", made_nothing=made_nothing) from error
