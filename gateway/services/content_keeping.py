"""What was asked and answered, put aside on its way where the route keeps it (`store_content`).

A completion's content is kept: also of one answered by the cache, of one in a fire drill, and the request alone of one
that failed. A request refused before it began, or a repetition answered by `Idempotency-Key`, is no completion of its
own and leaves nothing. Nothing here waits (docs/decisions/0021-stored-content.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from gateway.engine.configuration import Route
from gateway.engine.errors import GatewayError
from gateway.services.call import Call
from gateway.services.content_writing import MAX_KEPT_BYTES, Content, ContentWriter
from gateway.services.limits import Admission
from gateway.services.stream_reply import WholeStream
from gateway.services.work import PlainReply


async def content_kept(
    writer: ContentWriter,
    call: Call,
    route: Route,
    admission: Admission,
    obtain: Callable[[], Awaitable[PlainReply | WholeStream]],
) -> PlainReply | WholeStream:
    """What `obtain` gives, and raises; its content goes to the writer."""
    keeping = Keeping(writer, call, timedelta(days=route.store_content_days))
    try:
        reply = await obtain()
    except BaseException:
        if admission.owned:  # it began: a refusal before that has no content
            keeping.keep()
        raise
    if isinstance(reply, PlainReply):
        keeping.add(reply.body)
        keeping.keep()
        return reply
    return ContentStream(reply, keeping)


class Keeping:
    """One completion's content as it comes, at most MAX_KEPT_BYTES of each side; given to the writer once."""

    def __init__(self, writer: ContentWriter, call: Call, keep_for: timedelta) -> None:
        self._writer, self._call, self._keep_for = writer, call, keep_for
        self._pieces: list[bytes] = []
        self._room = MAX_KEPT_BYTES
        self._answer_bytes = 0
        self._open = True

    def add(self, data: bytes) -> None:
        self._answer_bytes += len(data)
        if self._room > 0:
            self._pieces.append(data[: self._room])
            self._room -= len(self._pieces[-1])

    def keep(self) -> None:
        if not self._open:
            return
        self._open = False
        now, body = datetime.now(UTC), self._call.body
        content = Content(
            completion_id=self._call.request_id,
            kept_at=now,
            delete_at=now + self._keep_for,
            request=body[:MAX_KEPT_BYTES],
            request_bytes=len(body),
            answer=b"".join(self._pieces),
            answer_bytes=self._answer_bytes,
        )
        self._writer.add(content)


class ContentStream:
    """A stream whose bytes are put aside as they are sent."""

    def __init__(self, reply: WholeStream, keeping: Keeping) -> None:
        self._reply, self._keeping = reply, keeping
        self.clock, self.headers, self.keep_alive = reply.clock, reply.headers, reply.keep_alive
        self.whole = False

    async def read(self) -> bytes | None:
        data = await self._reply.read()
        self.keep_alive, self.whole = self._reply.keep_alive, self._reply.whole
        if data is not None:
            self._keeping.add(data)
        if data is None or self.whole:
            self._keeping.keep()
        return data

    async def break_off(self, error: GatewayError) -> bytes:
        data = await self._reply.break_off(error)
        self._keeping.add(data)
        self._keeping.keep()
        return data

    async def leave(self, error: BaseException) -> None:
        self._keeping.keep()
        await self._reply.leave(error)
