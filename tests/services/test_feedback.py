"""`POST /v1/feedback`: what is read, whose requests it may be about, and what stays of it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from gateway.engine.errors import GatewayError, InvalidRequest, ModelNotFound, RequestTooLarge
from gateway.models import Feedback, UsageProgress
from gateway.selectors.feedback import feedback_of
from gateway.services.feedback import MAX_BODY_BYTES, Word, feedback_keep, feedback_parse
from gateway.services.retention import completions_prune
from gateway.services.snapshot import ApiKey
from tests.selectors.rows import NOON, add_completion


def key(id: int = 1, team_id: int | None = 7, name: str = "agents") -> ApiKey:
    return ApiKey(id, name, team_id, "", None, "agent", None, False)


def body(**fields: Any) -> bytes:
    return json.dumps({"request_id": "req_1", "score": 1, **fields}).encode()


@pytest.mark.parametrize(
    ("sent", "word"),
    [
        pytest.param(body(), Word("req_1", 1, ""), id="without a note"),
        pytest.param(body(note=None), Word("req_1", 1, ""), id="null note"),
        pytest.param(body(score=-1, note="Wrong year."), Word("req_1", -1, "Wrong year."), id="with a note"),
    ],
)
def test_feedback_is_read(sent: bytes, word: Word) -> None:
    assert feedback_parse(sent) == word


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        pytest.param(b"[]", None, id="no object"),
        pytest.param(body(request_id=None), "request_id", id="no request id"),
        pytest.param(body(request_id="r" * 41), "request_id", id="a request id that is too long"),
        pytest.param(body(score=0), "score", id="neither good nor bad"),
        pytest.param(body(score=True), "score", id="not a number"),
        pytest.param(body(score=[1]), "score", id="a list"),
        pytest.param(body(note="n" * 2_001), "note", id="a note that is too long"),
        pytest.param(body(note=3), "note", id="a note that is no text"),
        pytest.param(body(stars=5), "stars", id="an unknown field"),
        pytest.param(b'{"request_id": "req_1", "score": 1, "score": -1}', "score", id="a field twice"),
    ],
)
def test_what_cant_be_used_is_named(sent: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as refused:
        feedback_parse(sent)
    assert refused.value.param == param


def test_a_body_without_end_is_not_read() -> None:
    with pytest.raises(RequestTooLarge):
        feedback_parse(b" " * (MAX_BODY_BYTES + 1))


@pytest.mark.django_db
def test_a_second_word_of_the_same_key_takes_the_firsts_place() -> None:
    add_completion("req_1", team_id=7)
    feedback_keep(word=Word("req_1", 1, "Good."), key=key(), now=NOON)
    feedback_keep(word=Word("req_1", -1, "No, bad."), key=key(), now=NOON + timedelta(minutes=1))
    row = Feedback.objects.get()
    assert (row.score, row.note, row.created_at, row.updated_at) == (-1, "No, bad.", NOON, NOON + timedelta(minutes=1))


@pytest.mark.django_db
def test_each_key_of_a_team_has_its_own_word() -> None:
    add_completion("req_1", team_id=7)
    feedback_keep(word=Word("req_1", 1, ""), key=key(1, name="first"), now=NOON)
    feedback_keep(word=Word("req_1", -1, ""), key=key(2, name="second"), now=NOON + timedelta(minutes=1))
    assert [(one.api_key, one.good) for one in feedback_of(request_id="req_1")] == [("second", False), ("first", True)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("row", "who"),
    [
        pytest.param({"team_id": 8, "api_key_id": 2}, key(), id="another team's"),
        pytest.param({"team_id": 0, "api_key_id": 2}, key(team_id=None), id="of another key without a team"),
    ],
)
def test_other_peoples_requests_look_as_if_they_werent_there(row: dict[str, int], who: ApiKey) -> None:
    add_completion("req_1", **row)
    told: list[GatewayError] = []
    for request_id in ("req_1", "req_2"):
        with pytest.raises(ModelNotFound) as refused:
            feedback_keep(word=Word(request_id, 1, ""), key=who, now=NOON)
        told.append(refused.value)
    assert told[0].message.replace("req_1", "req_2") == told[1].message
    assert {error.code for error in told} == {"not_found"}
    assert not Feedback.objects.exists()


@pytest.mark.django_db
def test_a_key_without_a_team_speaks_of_its_own_requests() -> None:
    add_completion("req_1", team_id=0, api_key_id=1)
    feedback_keep(word=Word("req_1", 1, ""), key=key(1, team_id=None), now=NOON)
    assert len(feedback_of(request_id="req_1")) == 1


@pytest.mark.django_db
def test_feedback_leaves_with_its_request() -> None:
    add_completion("req_1", team_id=7)
    feedback_keep(word=Word("req_1", 1, ""), key=key(), now=NOON)
    UsageProgress.objects.create(until=NOON + timedelta(days=900))
    assert completions_prune(now=NOON + timedelta(days=800)) == 1
    assert not Feedback.objects.exists()
