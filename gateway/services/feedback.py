"""What a client tells of an answer it got: read, checked against whose request it was, kept.

One word per request and key: a second one takes the first one's place in one statement, so that sending it again
changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from gateway.engine.errors import GatewayError, InvalidRequest, ModelNotFound, RequestTooLarge
from gateway.models.completion import Completion
from gateway.models.feedback import BAD, GOOD, MAX_NOTE_CHARACTERS, Feedback
from gateway.services.snapshot import ApiKey
from gateway.wires.parsing import parse_object

MAX_BODY_BYTES = 64 * 1024
MAX_REQUEST_ID_CHARACTERS = 40
_FIELDS = ("request_id", "score", "note")
_GUARDED = tuple(f'"{name}"'.encode() for name in _FIELDS)


@dataclass(frozen=True, slots=True)
class Word:
    """What was told of one request. `score` is 1 or -1, `note` "" where there is none."""

    request_id: str
    score: int
    note: str


def feedback_parse(body: bytes) -> Word:
    """Raises InvalidRequest, naming the field and what would be right, and RequestTooLarge."""
    if len(body) > MAX_BODY_BYTES:
        raise RequestTooLarge(f"Feedback is at most {MAX_BODY_BYTES} bytes long.")
    payload = parse_object(body, _GUARDED)
    for name in payload:
        if name not in _FIELDS:
            raise InvalidRequest(f"Feedback has no field {name[:60]!r}; it has {', '.join(_FIELDS)}.", param=name[:60])
    return Word(_request_id(payload), _score(payload), _note(payload))


def _request_id(payload: dict[str, Any]) -> str:
    value = payload.get("request_id")
    if not isinstance(value, str) or not 0 < len(value) <= MAX_REQUEST_ID_CHARACTERS:
        raise InvalidRequest(
            "request_id must be the X-Request-Id of the answer that the feedback is about.", param="request_id"
        )
    return value


def _score(payload: dict[str, Any]) -> int:
    value = payload.get("score")
    if isinstance(value, bool) or value not in (BAD, GOOD):
        raise InvalidRequest("score must be 1 (good) or -1 (bad).", param="score")
    return int(value)


def _note(payload: dict[str, Any]) -> str:
    value = payload.get("note")
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_NOTE_CHARACTERS:
        raise InvalidRequest(f"note must be text of at most {MAX_NOTE_CHARACTERS} characters.", param="note")
    return value


def feedback_keep(*, word: Word, key: ApiKey, now: datetime) -> None:
    """Keep it, in the place of what this key said of the request before.

    Raises ModelNotFound (code `not_found`) for a request that isn't there or isn't the key's team's: from outside the
    two look the same.
    """
    if not Completion.objects.filter(_own(key), pk=word.request_id).exists():
        raise _unknown(word.request_id)
    row = Feedback(
        completion_id=word.request_id,
        api_key_id=key.id,
        api_key_name=key.name,
        score=word.score,
        note=word.note,
        created_at=now,
        updated_at=now,
    )
    Feedback.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=["completion", "api_key_id"],
        update_fields=["score", "note", "api_key_name", "updated_at"],
    )


def _own(key: ApiKey) -> Q:
    """A team's keys speak for each other; a key without a team speaks for itself alone."""
    return Q(api_key_id=key.id) if key.team_id is None else Q(team_id=key.team_id)


def _unknown(request_id: str) -> GatewayError:
    error = ModelNotFound(
        f"There is no request {request_id!r} of this key's team. Send the X-Request-Id that came with the answer.",
        param="request_id",
    )
    error.code = "not_found"
    return error
