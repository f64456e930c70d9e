"""Stored content: what is kept of a request, by whom it is written, for how long, and who may read it."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from gateway.engine.clock import SYSTEM_CLOCK
from gateway.engine.errors import AllTargetsFailed, GatewayError
from gateway.engine.words import Operation
from gateway.models import ApiKey, ConfigurationChange, StoredContent
from gateway.services.call import Call
from gateway.services.content_keeping import ContentStream, content_kept
from gateway.services.content_look import content_look
from gateway.services.content_retention import ROWS_PER_TRANSACTION, content_prune, conversation_content_forget
from gateway.services.content_writing import MAX_KEPT_BYTES, Content, ContentWriter, content_write
from gateway.services.work import PlainReply
from tests.selectors.rows import add_completion

# content_write closes its thread's connection, which SQLite's in memory survives.
CLOSES = pytest.mark.sqlite
BODY = b'{"model": "default"}'
ROUTE: Any = SimpleNamespace(store_content_days=3)
KEY: Any = SimpleNamespace(id=1)
BEGAN, REFUSED = SimpleNamespace(owned=True), SimpleNamespace(owned=False)


class Shelf:
    """Takes what would be written."""

    def __init__(self) -> None:
        self.contents: list[Content] = []

    def add(self, content: Content) -> None:
        self.contents.append(content)


class Pieces:
    """A stream of these pieces, whole with the last."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)
        self.clock, self.headers, self.keep_alive, self.whole = SYSTEM_CLOCK, dict[str, str](), b"", False

    async def read(self) -> bytes | None:
        piece = self._pieces.pop(0)
        self.whole = not self._pieces
        return piece

    async def break_off(self, error: GatewayError) -> bytes:
        return b"broken off"

    async def leave(self, error: BaseException) -> None:
        """Nothing is under way."""


def call_of(body: bytes = BODY) -> Call:
    return Call(Operation.CHAT, body, {}, KEY, "req_1")


async def kept(reply: Any, *, shelf: Shelf, admission: Any = BEGAN, body: bytes = BODY) -> Any:
    async def obtain() -> Any:
        if isinstance(reply, BaseException):
            raise reply
        return reply

    writer: Any = shelf
    return await content_kept(writer, call_of(body), ROUTE, admission, obtain)


async def test_a_plain_answer_is_kept_with_what_was_asked_for_the_routes_days() -> None:
    shelf = Shelf()
    await kept(PlainReply(b"Yes.", {}), shelf=shelf)

    (content,) = shelf.contents
    assert (content.completion_id, content.request, content.answer) == ("req_1", BODY, b"Yes.")
    assert content.delete_at - content.kept_at == timedelta(days=3)


async def test_a_stream_is_kept_as_it_was_sent_and_once() -> None:
    shelf = Shelf()
    stream: ContentStream = await kept(Pieces(b"Y", b"es."), shelf=shelf)
    while not stream.whole:
        await stream.read()
    await stream.leave(asyncio.CancelledError())

    assert [content.answer for content in shelf.contents] == [b"Yes."]


async def test_of_a_stream_whose_client_left_what_it_got_is_kept() -> None:
    shelf = Shelf()
    stream: ContentStream = await kept(Pieces(b"Y", b"es."), shelf=shelf)
    await stream.read()
    await stream.leave(asyncio.CancelledError())

    assert [content.answer for content in shelf.contents] == [b"Y"]


async def test_of_a_stream_that_is_broken_off_the_error_is_kept_too() -> None:
    shelf = Shelf()
    stream: ContentStream = await kept(Pieces(b"Y", b"es."), shelf=shelf)
    await stream.read()
    await stream.break_off(AllTargetsFailed("over"))

    assert [content.answer for content in shelf.contents] == [b"Ybroken off"]


@pytest.mark.parametrize(("admission", "answers"), [(BEGAN, [b""]), (REFUSED, [])], ids=["began", "refused"])
async def test_of_a_failure_the_request_is_kept_if_it_began(admission: Any, answers: list[bytes]) -> None:
    shelf = Shelf()
    with pytest.raises(AllTargetsFailed):
        await kept(AllTargetsFailed("none"), shelf=shelf, admission=admission)

    assert [content.answer for content in shelf.contents] == answers


async def test_what_is_too_large_is_cut_and_its_size_known() -> None:
    shelf, large = Shelf(), b"x" * (MAX_KEPT_BYTES + 5)
    await kept(PlainReply(large, {}), shelf=shelf, body=large)

    (content,) = shelf.contents
    assert (len(content.request), len(content.answer)) == (MAX_KEPT_BYTES, MAX_KEPT_BYTES)
    assert (content.request_bytes, content.answer_bytes) == (len(large), len(large))


def content_of(completion_id: str = "req_1", **values: Any) -> Content:
    now = timezone.now()
    fields = {
        "kept_at": now,
        "delete_at": now + timedelta(days=1),
        "request": BODY,
        "request_bytes": len(BODY),
        "answer": b"My number is 4711.",
        "answer_bytes": 18,
    }
    return Content(completion_id=completion_id, **{**fields, **values})


def test_its_words_are_in_no_repr() -> None:
    assert "4711" not in repr(content_of())


async def test_what_would_wait_beyond_the_bound_is_dropped_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "gateway.content"):
        ContentWriter(max_waiting_bytes=1).add(content_of())

    assert "req_1 is not kept" in caplog.text
    assert "4711" not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_what_waits_is_written_before_the_process_stops() -> None:
    async def run() -> None:
        writer = ContentWriter()
        for number in range(120):
            writer.add(content_of(f"req_{number}"))
        await writer.aclose()

    asyncio.run(run())
    assert StoredContent.objects.count() == 120


@pytest.mark.django_db
@CLOSES
def test_nothing_of_it_can_be_read_in_the_table() -> None:
    content_write([content_of()])

    row = StoredContent.objects.get()
    assert b"4711" not in bytes(row.answer)
    assert b"default" not in bytes(row.request)


@pytest.mark.django_db
@CLOSES
def test_writing_it_twice_changes_nothing() -> None:
    content_write([content_of()])
    content_write([content_of(answer=b"another")])

    seen = content_look(request_id="req_1", actor="ann")
    assert seen is not None
    assert seen.answer.text == "My number is 4711."


@pytest.mark.django_db
@CLOSES
def test_a_look_is_in_the_history_without_what_was_seen() -> None:
    content_write([content_of()])
    content_look(request_id="req_1", actor="ann")

    change = ConfigurationChange.objects.get()
    assert (change.actor, change.action, change.name) == ("ann", "looked at", "request req_1")
    assert change.before + change.after == ""


@pytest.mark.django_db
@CLOSES
def test_where_it_was_cut_is_told() -> None:
    content_write([content_of(answer=b"begi", answer_bytes=9)])

    seen = content_look(request_id="req_1", actor="ann")
    assert seen is not None
    assert (seen.answer.size, seen.answer.cut_at, seen.request.cut_at) == (9, 4, None)


@pytest.mark.django_db
@CLOSES
def test_what_is_over_can_not_be_read_even_before_it_is_pruned() -> None:
    content_write([content_of(delete_at=timezone.now())])
    assert content_look(request_id="req_1", actor="ann") is None


@pytest.mark.django_db
@CLOSES
def test_it_is_pruned_on_its_day_and_not_before() -> None:
    now = timezone.now()
    over = [content_of(f"old_{number}", delete_at=now) for number in range(ROWS_PER_TRANSACTION + 1)]
    content_write([*over, content_of("new", delete_at=now + timedelta(seconds=1))])

    assert content_prune(now=now) == ROWS_PER_TRANSACTION + 1
    assert [row.pk for row in StoredContent.objects.all()] == ["new"]


@pytest.mark.django_db
@CLOSES
def test_a_teams_conversation_is_forgotten_and_no_others() -> None:
    add_completion("mine", conversation="talk", team_id=1)
    add_completion("theirs", conversation="talk", team_id=2)
    content_write([content_of("mine"), content_of("theirs")])

    assert conversation_content_forget(conversation="talk", team_id=1, team="research", actor="ann") == 1
    assert [row.pk for row in StoredContent.objects.all()] == ["theirs"]
    assert ConfigurationChange.objects.get().name == "conversation talk of research"


@pytest.mark.django_db
@CLOSES
def test_a_keys_content_is_forgotten_by_command(capsys: pytest.CaptureFixture[str]) -> None:
    key = ApiKey.objects.create(name="agents", hash="h")
    add_completion("mine", api_key_id=key.pk)
    content_write([content_of("mine"), content_of("another")])

    call_command("forget", key="agents")

    assert "of 1 request is deleted" in capsys.readouterr().out
    assert [row.pk for row in StoredContent.objects.all()] == ["another"]


@pytest.mark.django_db
def test_the_command_says_when_there_is_no_such_conversation() -> None:
    with pytest.raises(CommandError, match="no conversation 'nobody'"):
        call_command("forget", conversation="nobody")
