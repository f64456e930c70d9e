"""What the callers of all vendors share: a request in bytes, a reply in bytes, errors as the engine knows them.

The SDK's client gives base URL, credentials and default headers and owns the connections; bodies pass as bytes over its
transport, since its typed objects cost ten times the call itself (docs/decisions/0024-past-the-sdks-client.md).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, Protocol

import httpx2

from gateway.engine.configuration import Provider, Target
from gateway.engine.errors import UpstreamError
from gateway.engine.exchange import NO_HEADERS, Answer, Ask, Passage, Seam, StreamBatch
from gateway.engine.usage import Usage
from gateway.engine.words import FailureKind, FinishReason, Operation, Wire
from gateway.providers.http1 import Endpoint
from gateway.providers.rate_limits import rate_limits
from gateway.providers.transport import HttpTransport, Reply
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
# A request too that no connection could carry (a line break in a configured header) left nothing on the wire.
_NEVER_SENT = (httpx2.ConnectError, httpx2.UnsupportedProtocol, httpx2.ProxyError, httpx2.LocalProtocolError)
# Without a key the provider's own 401 says best what is wrong.
NO_KEY = "no-key-configured"


class SdkClient(Protocol):
    """What a vendor's asynchronous client says of its calls."""

    @property
    def base_url(self) -> httpx2.URL: ...

    @property
    def default_headers(self) -> Mapping[str, object]: ...

    @property
    def auth_headers(self) -> Mapping[str, object]: ...


class HttpCaller(ABC):
    """One provider, over the transport of its SDK's client. A `Caller` of the engine."""

    sdk_client: ClassVar[Callable[..., SdkClient]]
    paths: ClassVar[Mapping[Operation, str]]  # below the base URL, without a leading slash
    models_path: ClassVar[str]  # the list of models, which costs nothing

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.in_use = 0  # answers and streams under way
        self.on_idle: Callable[[], None] = lambda: None  # called when the last of them has ended
        self._transport = HttpTransport(
            max_connections=provider.max_in_flight, connect_timeout_seconds=provider.timeouts.connect_seconds
        )
        self._ending: set[asyncio.Task[None]] = set()
        self.sdk = self._sdk_of(provider)
        base_url = str(self.sdk.base_url).rstrip("/")
        self._models_endpoint = Endpoint.of(f"{base_url}/{self.models_path}")
        self._endpoints = {operation: Endpoint.of(f"{base_url}/{path}") for operation, path in self.paths.items()}
        # Bodies are forwarded as they are, so uncompressed.
        own = {**_of_the_sdk(self.sdk.default_headers), "accept-encoding": "identity"}
        self.own_headers = {**own, **_lowered(self.sdk.auth_headers), **_lowered(provider.extra_headers)}

    def _sdk_of(self, provider: Provider) -> SdkClient:
        """Tries and time are the engine's."""
        return self.sdk_client(
            api_key=provider.api_key or NO_KEY,
            base_url=provider.base_url,
            max_retries=0,
            timeout=None,
            http_client=httpx2.AsyncClient(transport=self._transport, timeout=None),
        )

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
        reply = await self._send(ask, target, translated)
        try:
            body = await self._read(reply, ANSWER_LIMIT_BYTES)
        finally:
            reply.release()
        answer = translate_answer(ask.surface, self.provider.kind, body, translated.context)
        limits = rate_limits(self.provider.kind, ask.surface, reply.raw_headers)
        if not translated.dropped and not limits:
            return answer
        return replace(answer, dropped_params=translated.dropped, rate_limits=limits)

    async def _stream(self, ask: Ask, target: Target) -> SseStream:
        ask = continuation_ask(ask)
        translated = self._translate(ask, target)
        reply = await self._send(ask, target, translated)
        try:
            translator: StreamTranslator = stream_translator(ask.surface, self.provider.kind, translated.context)
            if ask.continuation is not None:
                translator = continuation_stream(ask.surface, translator, ask.continuation)
        except BaseException:
            reply.release()
            raise
        stream = SseStream(self.provider.name, reply, translator, translated.dropped, self._read_out, self._use_ended)
        stream.rate_limits = rate_limits(self.provider.kind, ask.surface, reply.raw_headers)
        return stream

    async def idle(self) -> None:
        """Wait until every connection whose stream has ended is either free again or closed."""
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def aclose(self) -> None:
        for task in self._ending:
            task.cancel()
        await self.idle()
        await self._transport.aclose()

    def _read_out(self, reply: Reply) -> None:
        """Let the body come to its end, so that its connection can be used again; nobody waits for that."""
        task = asyncio.get_running_loop().create_task(_read_out(reply))
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
        reply = await self._sent("GET", self._models_endpoint, self.own_headers, kind)
        try:
            body = await self._read(reply, ANSWER_LIMIT_BYTES)
        finally:
            reply.release()
        if not body.lstrip().startswith(b"{"):
            raise self._broken("the list of models is not a JSON object", FailureKind.UNREADABLE)

    async def _send(self, ask: Ask, target: Target, translated: Translated) -> Reply:
        """A 2xx whose body is still to be read. Raises UpstreamError for anything else."""
        endpoint, headers = self._endpoints[ask.operation], self.headers(ask, target)
        return await self._sent("POST", endpoint, headers, ask.surface, translated.body, ask.passage)

    async def _sent(
        self,
        method: str,
        endpoint: Endpoint,
        headers: Mapping[str, str],
        surface: Wire,
        body: bytes = b"",
        passage: Passage | None = None,
    ) -> Reply:
        try:
            reply = await self._transport.send(method, endpoint, headers, body, passage)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        if 200 <= reply.status < 300:
            return reply
        refusal = await self._refusal(reply)
        refusal.rate_limits = rate_limits(self.provider.kind, surface, reply.raw_headers)
        raise refusal

    async def _refusal(self, reply: Reply) -> UpstreamError:
        try:
            body = await self._read(reply, ERROR_LIMIT_BYTES)
        except UpstreamError:
            body = b""  # the status alone has to do
        finally:
            reply.release()
        error = self.classify(reply.status, reply.headers, body)
        error.provider, error.wire = self.provider.name, self.provider.kind
        return error

    async def _read(self, reply: Reply, limit_bytes: int) -> bytes:
        """The whole body. Raises UpstreamError when it breaks off or is larger than `limit_bytes`."""
        pieces, size = [], 0
        try:
            while piece := await reply.read():
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
        never_sent = isinstance(error, _NEVER_SENT)
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
        reply: Reply,
        translator: StreamTranslator,
        dropped_params: tuple[str, ...],
        read_out: Callable[[Reply], None],
        ended: Callable[[], None],
    ) -> None:
        self.bytes_received = 0
        self.dropped_params = dropped_params
        self.rate_limits: Mapping[str, str] = NO_HEADERS
        self._provider = provider
        self._reply = reply
        self._translator = translator
        self._read_out = read_out
        self._ended: Callable[[], None] | None = ended
        self._over = False  # nothing more of it is read for the client
        self._read_to_end = False

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
        if self._over:
            return None
        try:
            data = await self._reply.read()
        except httpx2.HTTPError as error:
            return self._cut(error)
        if not data:
            return self.end()
        self.bytes_received += len(data)
        batch = self._translator.feed(data)
        if self._translator.complete:
            self._over = True  # nothing is waited for after a provider's terminator
            return _joined(batch, self._translator.close())
        return batch

    def end(self) -> StreamBatch:
        self._over = self._read_to_end = True
        return self._translator.close()

    def _cut(self, error: httpx2.HTTPError) -> StreamBatch:
        """A broken connection after the finish reason loses nothing; before it the answer is not whole."""
        self._over = self._read_to_end = True
        try:
            return self._translator.close()
        except UpstreamError as broken_off:
            broken_off.provider = self._provider
            broken_off.message = f"{broken_off.message} ({_words(error)})"
            raise

    async def aclose(self) -> None:
        worth_its_end = self._over and not self._read_to_end
        self._over = self._read_to_end = True
        ended, self._ended = self._ended, None
        try:
            if worth_its_end and not self._reply.at_end:
                self._read_out(self._reply)
            else:
                self._reply.release()
        finally:
            if ended is not None:
                ended()


async def _read_out(reply: Reply) -> None:
    size = 0
    try:
        async with asyncio.timeout(END_OF_BODY_SECONDS):
            while data := await reply.read():
                size += len(data)
                if size > END_OF_BODY_BYTES:
                    break
    except (TimeoutError, httpx2.HTTPError):
        pass  # then the connection is closed
    finally:
        reply.release()


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
