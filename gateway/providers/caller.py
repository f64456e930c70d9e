"""What the callers of all vendors share: a request in bytes, a reply in bytes, errors as the engine knows them.

The SDK's client gives base URL, credentials and default headers and owns the connections; bodies pass through it as
bytes, since its typed objects cost ten times the call itself (docs/performance.md).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import ClassVar

import httpx2

from gateway.engine.configuration import Provider, Target
from gateway.engine.errors import UpstreamError
from gateway.engine.exchange import NO_HEADERS, Answer, Ask, Seam, StreamBatch
from gateway.engine.usage import Usage
from gateway.engine.words import FailureKind, FinishReason, Operation, Wire
from gateway.providers.rate_limits import rate_limits
from gateway.providers.transport import PASSAGE, AiohttpTransport
from gateway.wires import (
    StreamTranslator,
    Translated,
    continuation_ask,
    continuation_stream,
    stream_translator,
    translate_answer,
    translate_request,
)

ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
ERROR_LIMIT_BYTES = 64 * 1024
# What may come, and how late, between a stream's last event and the end of its body.
END_OF_BODY_SECONDS = 1.0
END_OF_BODY_BYTES = 64 * 1024
_SDK_HEADERS = frozenset({"accept", "content-type", "user-agent", "anthropic-version"})

# Without a key the provider's own 401 says best what is wrong.
NO_KEY = "no-key-configured"


def http_client(provider: Provider) -> httpx2.AsyncClient:
    """The client the vendor's SDK works with. Time is the engine's, so it has no time-outs but the connect one."""
    transport = AiohttpTransport(
        max_connections=provider.max_in_flight, connect_timeout_seconds=provider.timeouts.connect_seconds
    )
    return httpx2.AsyncClient(transport=transport, timeout=None)


class HttpCaller(ABC):
    """One provider through its SDK's HTTP client. A `Caller` of the engine."""

    paths: ClassVar[Mapping[Operation, str]]  # below the base URL, without a leading slash
    models_path: ClassVar[str]  # the list of models, which costs nothing

    def __init__(
        self,
        provider: Provider,
        http: httpx2.AsyncClient,
        base_url: str,
        *,
        sdk_headers: Mapping[str, object],
        auth_headers: Mapping[str, object],
    ) -> None:
        self.provider = provider
        self.in_use = 0  # answers and streams under way
        self.on_idle: Callable[[], None] = lambda: None  # called when the last of them has ended
        self._http = http
        self._ending: set[asyncio.Task[None]] = set()
        self._models_url = httpx2.URL(f"{base_url.rstrip('/')}/{self.models_path}")
        self._urls = {operation: httpx2.URL(f"{base_url.rstrip('/')}/{path}") for operation, path in self.paths.items()}
        # Bodies are forwarded as they are, so uncompressed.
        own = {**_of_the_sdk(sdk_headers), "accept-encoding": "identity"}
        self.own_headers = {**own, **_lowered(auth_headers), **_lowered(provider.extra_headers)}

    @abstractmethod
    def headers(self, ask: Ask, target: Target) -> dict[str, str]:
        """The SDK's headers for this call, with what is passed on of the client's."""

    @abstractmethod
    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """What a reply that is not a 2xx means: the vendor's error table."""

    async def answer(self, ask: Ask, target: Target) -> Answer:
        self.in_use += 1
        try:
            return await self._answer(ask, target)
        finally:
            self._use_ended()

    async def stream(self, ask: Ask, target: Target) -> SseStream:
        """Counts as a use until the stream is closed."""
        self.in_use += 1
        try:
            return await self._stream(ask, target)
        except BaseException:
            self._use_ended()
            raise

    def _use_ended(self) -> None:
        self.in_use -= 1
        if not self.in_use:
            self.on_idle()

    async def _answer(self, ask: Ask, target: Target) -> Answer:
        translated = self._translate(ask, target)
        response = await self._send(ask, target, translated)
        try:
            body = await self._read(response, ANSWER_LIMIT_BYTES)
        finally:
            await response.aclose()
        answer = translate_answer(ask.surface, self.provider.kind, body, translated.context)
        limits = rate_limits(self.provider.kind, ask.surface, response)
        if not translated.dropped and not limits:
            return answer
        return replace(answer, dropped_params=translated.dropped, rate_limits=limits)

    async def _stream(self, ask: Ask, target: Target) -> SseStream:
        ask = continuation_ask(ask)
        translated = self._translate(ask, target)
        response = await self._send(ask, target, translated)
        translator: StreamTranslator = stream_translator(ask.surface, self.provider.kind, translated.context)
        if ask.continuation is not None:
            translator = continuation_stream(ask.surface, translator, ask.continuation)
        stream = SseStream(
            self.provider.name, response, translator, translated.dropped, self._read_out, self._use_ended
        )
        stream.rate_limits = rate_limits(self.provider.kind, ask.surface, response)
        return stream

    async def idle(self) -> None:
        """Wait until every connection whose stream has ended is either free again or closed."""
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def aclose(self) -> None:
        for task in self._ending:
            task.cancel()
        await self.idle()
        await self._http.aclose()

    def _read_out(self, response: httpx2.Response, reads: AsyncIterator[bytes]) -> None:
        """Let the body come to its end, so that its connection can be used again; nobody waits for that."""
        task = asyncio.get_running_loop().create_task(_read_out(response, reads))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _translate(self, ask: Ask, target: Target) -> Translated:
        return translate_request(
            ask.surface,
            self.provider.kind,
            ask.payload,
            model=target.model,
            traits=target.traits,
            stream=ask.stream,
            default_output_tokens=ask.default_output_tokens,
            anthropic_version=ask.forwarded_headers.get("anthropic-version"),
            bound_output=ask.bound_output,
            body=ask.body,
            output_limit_tokens=ask.output_limit_tokens,
            operation=ask.operation,
        )

    async def list_models(self) -> None:
        """Ask for the list of models, to see whether the provider answers us. Raises UpstreamError if it doesn't, or
        with something that is no JSON object."""
        kind = self.provider.kind
        response = await self._sent(httpx2.Request("GET", self._models_url, headers=self.own_headers), kind)
        try:
            body = await self._read(response, ANSWER_LIMIT_BYTES)
        finally:
            await response.aclose()
        if not body.lstrip().startswith(b"{"):
            raise self._broken("the list of models is not a JSON object", FailureKind.UNREADABLE)

    async def _send(self, ask: Ask, target: Target, translated: Translated) -> httpx2.Response:
        """A 2xx whose body is still to be read. Raises UpstreamError for anything else."""
        url = self._urls[ask.operation]
        extensions = {PASSAGE: ask.passage}
        headers = self.headers(ask, target)
        request = httpx2.Request("POST", url, headers=headers, content=translated.body, extensions=extensions)
        return await self._sent(request, ask.surface)

    async def _sent(self, request: httpx2.Request, surface: Wire) -> httpx2.Response:
        try:
            response = await self._http.send(request, stream=True, auth=None, follow_redirects=False)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        if 200 <= response.status_code < 300:
            return response
        refusal = await self._refusal(response)
        refusal.rate_limits = rate_limits(self.provider.kind, surface, response)
        raise refusal

    async def _refusal(self, response: httpx2.Response) -> UpstreamError:
        try:
            body = await self._read(response, ERROR_LIMIT_BYTES)
        except UpstreamError:
            body = b""  # the status alone has to do
        finally:
            await response.aclose()
        error = self.classify(response.status_code, response.headers, body)
        error.provider, error.wire = self.provider.name, self.provider.kind
        return error

    async def _read(self, response: httpx2.Response, limit_bytes: int) -> bytes:
        """The whole body. Raises UpstreamError when it breaks off or is larger than `limit_bytes`."""
        pieces, size = [], 0
        try:
            async for piece in response.aiter_bytes():
                size += len(piece)
                if size > limit_bytes:
                    raise self._broken(f"the answer is larger than {limit_bytes} bytes", FailureKind.UNREADABLE)
                pieces.append(piece)
        except httpx2.HTTPError as error:
            raise self._broken(f"the answer broke off: {_words(error)}", FailureKind.CONNECTION) from error
        return b"".join(pieces)

    def _unreachable(self, error: httpx2.HTTPError) -> UpstreamError:
        """No reply. Only a failed connect proves that nothing was sent; a silent one is a time-out like any other."""
        if isinstance(error, httpx2.ConnectTimeout):
            seconds = self.provider.timeouts.connect_seconds
            message = f"no connection within {seconds:g} s"
            return UpstreamError(FailureKind.TIMEOUT, message, provider=self.provider.name, counts_against_breaker=True)
        never_sent = isinstance(error, httpx2.ConnectError | httpx2.UnsupportedProtocol | httpx2.ProxyError)
        words = "no connection" if never_sent else "the connection broke before an answer"
        failure = self._broken(f"{words}: {_words(error)}", FailureKind.CONNECTION)
        failure.may_be_billed = not never_sent
        return failure

    def _broken(self, message: str, kind: FailureKind) -> UpstreamError:
        return broken(self.provider.name, kind, message)


class SseStream:
    """A provider's event stream on its way through a translator. An `AnswerStream` of the engine."""

    def __init__(
        self,
        provider: str,
        response: httpx2.Response,
        translator: StreamTranslator,
        dropped_params: tuple[str, ...],
        read_out: Callable[[httpx2.Response, AsyncIterator[bytes]], None],
        ended: Callable[[], None],
    ) -> None:
        self.bytes_received = 0
        self.dropped_params = dropped_params
        self.rate_limits: Mapping[str, str] = NO_HEADERS
        self._provider = provider
        self._response = response
        self._translator = translator
        self._read_out = read_out
        self._ended: Callable[[], None] | None = ended
        self._reads: AsyncIterator[bytes] | None = response.aiter_bytes()
        self._unended: AsyncIterator[bytes] | None = None

    @property
    def usage(self) -> Usage | None:
        return self._translator.usage if self._translator.usage_is_final else None

    @property
    def finish_reason(self) -> FinishReason | None:
        return self._translator.finish_reason

    @property
    def upstream_id(self) -> str | None:
        return self._translator.upstream_id

    @property
    def seam(self) -> Seam | None:
        return self._translator.seam

    @property
    def terminator(self) -> bytes:
        return self._translator.terminator

    async def read(self) -> StreamBatch | None:
        if self._reads is None:
            return None
        try:
            data = await anext(self._reads, None)
        except httpx2.HTTPError as error:
            return self._cut(error)
        if data is None:
            return self.end()
        self.bytes_received += len(data)
        batch = self._translator.feed(data)
        if self._translator.complete:
            self._unended, self._reads = self._reads, None  # nothing is waited for after a provider's terminator
            return _joined(batch, self._translator.close())
        return batch

    def end(self) -> StreamBatch:
        self._reads = None
        return self._translator.close()

    def _cut(self, error: httpx2.HTTPError) -> StreamBatch:
        """A broken connection after the finish reason loses nothing; before it the answer is not whole."""
        self._reads = None
        try:
            return self._translator.close()
        except UpstreamError as broken_off:
            broken_off.provider = self._provider
            broken_off.message = f"{broken_off.message} ({_words(error)})"
            raise

    async def aclose(self) -> None:
        unended, self._reads, self._unended = self._unended, None, None
        ended, self._ended = self._ended, None
        try:
            if unended is None or self._response.extensions["at_end"]():
                await self._response.aclose()
            else:
                self._read_out(self._response, unended)
        finally:
            if ended is not None:
                ended()


async def _read_out(response: httpx2.Response, reads: AsyncIterator[bytes]) -> None:
    size = 0
    try:
        async with asyncio.timeout(END_OF_BODY_SECONDS):
            async for data in reads:
                size += len(data)
                if size > END_OF_BODY_BYTES:
                    break
    except (TimeoutError, httpx2.HTTPError):
        pass  # then the connection is closed
    finally:
        await response.aclose()


def _of_the_sdk(headers: Mapping[str, object]) -> dict[str, str]:
    """What the SDK says about itself and its API, without what it picked up from environment variables."""
    lowered = _lowered(headers)
    return {name: value for name, value in lowered.items() if name in _SDK_HEADERS or name.startswith("x-stainless-")}


def _lowered(headers: Mapping[str, object]) -> dict[str, str]:
    """Names in lower case; some of the SDKs' values are markers for "not sent"."""
    return {name.lower(): value for name, value in headers.items() if isinstance(value, str)}


def broken(provider: str, kind: FailureKind, message: str) -> UpstreamError:
    """A reply that never came whole: worth another try, held against the provider, and possibly billed."""
    return UpstreamError(
        kind, message, provider=provider, retryable=True, counts_against_breaker=True, may_be_billed=True
    )


def _joined(first: StreamBatch, last: StreamBatch) -> StreamBatch:
    return StreamBatch(first.data + last.data, first.has_content or last.has_content) if last.data else first


def _words(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__
