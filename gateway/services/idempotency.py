"""`Idempotency-Key`: the same key and body within a day gives the stored answer, with one upstream call and one charge.

Keys belong to the API key and operation that sent them. Duplicates of a request under way wait for it. Only whole
answers are kept: after any failure the next request may try (docs/decisions/0015-idempotency.md).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator

from gateway.engine.clock import Clock
from gateway.engine.errors import (
    DeadlineExceeded,
    GatewayError,
    IdempotencyMismatch,
    IdempotencyNotKept,
    InvalidRequest,
)
from gateway.services.access import route_for
from gateway.services.call import Call
from gateway.services.idempotency_claims import Claimed, Mismatch, StoredAnswer
from gateway.services.runtime import Runtime
from gateway.services.stream_reply import COMMENT, StreamingReply, WholeStream
from gateway.services.work import PlainReply
from gateway.wires import ParsedRequest

IDEMPOTENCY_KEY = "idempotency-key"
MAX_KEY_LENGTH = 255
MAX_KEPT_BYTES = 2 * 1024 * 1024
POLL_FIRST_SECONDS = 0.05
POLL_MAX_SECONDS = 0.5
# What was true when the first request was answered and isn't any more.
_PASSING_HEADERS = ("x-llmops-budget-remaining-usd", "x-ratelimit-", "anthropic-ratelimit-", "retry-after")


async def idempotent(
    runtime: Runtime,
    call: Call,
    parsed: ParsedRequest,
    obtain: Callable[[], Awaitable[PlainReply | WholeStream]],
) -> PlainReply | StreamingReply:
    """The stored answer, or that of `obtain`, which is kept. Raises GatewayError."""
    try:
        scope, body_hash = _scope(call), hashlib.sha256(call.body).hexdigest()
        deadline_seconds = route_for(runtime.snapshot, call.key, parsed.model).deadline_seconds
        stored = await _claim(runtime, call, scope, body_hash, deadline_seconds)
    except GatewayError as error:  # what `obtain` raises has a row already
        runtime.refusals.add(runtime.snapshot, call, parsed, error)
        raise
    if stored is not None:
        return _replayed(stored, runtime.clock)
    keeper = Keeper(runtime, scope, call.request_id)
    try:
        reply = await obtain()
    except BaseException:
        keeper.give_up()
        raise
    if not isinstance(reply, PlainReply):
        return KeptStream(reply, keeper)
    await keeper.keep(reply.headers, reply.body, streamed=False)
    return reply


def _scope(call: Call) -> str:
    """Raises InvalidRequest for a key that is empty, too long or not plain text."""
    key = call.headers[IDEMPOTENCY_KEY]
    if not (0 < len(key) <= MAX_KEY_LENGTH and key.isascii() and key.isprintable()):
        raise InvalidRequest(
            f"Idempotency-Key must be 1 to {MAX_KEY_LENGTH} printable ASCII characters, such as a UUID.",
            param="Idempotency-Key",
        )
    return hashlib.sha256(f"{call.key.id}\n{call.operation.value}\n{key}".encode()).hexdigest()


async def _claim(
    runtime: Runtime, call: Call, scope: str, body_hash: str, deadline_seconds: float
) -> StoredAnswer | None:
    """None once the request is the caller's to make; else the stored answer, which may have to be waited for."""
    records, clock = runtime.idempotency, runtime.clock
    give_up_at = clock.monotonic() + deadline_seconds
    wait_seconds = POLL_FIRST_SECONDS
    while True:
        try:
            found = await records.claim(scope, body_hash, call.request_id)
        except asyncio.CancelledError:  # the claim may still be made
            runtime.in_background(records.release(scope, call.request_id))
            raise
        if isinstance(found, Claimed):
            return None
        if isinstance(found, StoredAnswer):
            return found
        if isinstance(found, Mismatch):
            raise IdempotencyMismatch(
                "This Idempotency-Key was used for another request body. Send the same body again, or a new key.",
                param="Idempotency-Key",
            )
        if clock.monotonic() + wait_seconds >= give_up_at:
            raise DeadlineExceeded(
                f"The first request with this Idempotency-Key was not answered within {deadline_seconds:g} s."
            )
        await clock.sleep(wait_seconds)
        wait_seconds = min(2 * wait_seconds, POLL_MAX_SECONDS)


class Keeper:
    """One claim: its answer is kept or it is given up, whichever comes first."""

    def __init__(self, runtime: Runtime, scope: str, request_id: str) -> None:
        self._runtime, self._scope, self._request_id = runtime, scope, request_id
        self._open = True

    async def keep(self, headers: dict[str, str], body: bytes | None, *, streamed: bool) -> None:
        """`body` None, or beyond MAX_KEPT_BYTES: it is remembered that there was one."""
        if not self._open:
            return
        self._open = False
        kept = {name: value for name, value in headers.items() if not name.startswith(_PASSING_HEADERS)}
        small = body if body is not None and len(body) <= MAX_KEPT_BYTES else None
        answer = StoredAnswer(self._request_id, streamed, kept, small)
        await self._runtime.idempotency.store(self._scope, self._request_id, answer)

    def give_up(self) -> None:
        if self._open:
            self._open = False
            self._runtime.in_background(self._runtime.idempotency.release(self._scope, self._request_id))


class KeptStream:
    """A stream that is kept before its client gets the terminator."""

    def __init__(self, reply: WholeStream, keeper: Keeper) -> None:
        self._reply, self._keeper = reply, keeper
        self._pieces: list[bytes] | None = []  # None: too large
        self._size = 0
        self.clock, self.headers, self.keep_alive = reply.clock, reply.headers, reply.keep_alive

    async def read(self) -> bytes | None:
        data = await self._reply.read()
        self.keep_alive = self._reply.keep_alive
        if data is None:
            self._keeper.give_up()
            return None
        self._collect(data)
        if self._reply.whole:
            body = None if self._pieces is None else b"".join(self._pieces)
            await self._keeper.keep(self.headers, body, streamed=True)
        return data

    def _collect(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_KEPT_BYTES:
            self._pieces = None
        elif self._pieces is not None:
            self._pieces.append(data)

    async def break_off(self, error: GatewayError) -> bytes:
        self._keeper.give_up()
        return await self._reply.break_off(error)

    async def leave(self, error: BaseException) -> None:
        self._keeper.give_up()
        await self._reply.leave(error)


class ReplayedStream:
    """A kept stream, event by event."""

    keep_alive = COMMENT

    def __init__(self, body: bytes, headers: dict[str, str], clock: Clock) -> None:
        self.clock, self.headers = clock, headers
        # Providers may put more than one blank line between events: the empty ones in between are no end.
        self._events: Iterator[bytes] = filter(None, body.split(b"\n\n"))

    async def read(self) -> bytes | None:
        event = next(self._events, None)
        return None if event is None else event + b"\n\n"

    async def break_off(self, error: GatewayError) -> bytes:
        """All of it is there: the rest is sent instead."""
        return b"".join(event + b"\n\n" for event in self._events)

    async def leave(self, error: BaseException) -> None:
        """Nothing is under way."""


def _replayed(stored: StoredAnswer, clock: Clock) -> PlainReply | ReplayedStream:
    if stored.body is None:
        raise IdempotencyNotKept(
            f"This request was answered (request {stored.request_id}), but its answer was larger than "
            f"{MAX_KEPT_BYTES} bytes and not kept. Send a new Idempotency-Key to have it made and charged again.",
            param="Idempotency-Key",
        )
    headers = {**stored.headers, "idempotent-replayed": "true", "x-llmops-replayed-request-id": stored.request_id}
    if stored.streamed:
        return ReplayedStream(stored.body, headers, clock)
    return PlainReply(stored.body, headers)
