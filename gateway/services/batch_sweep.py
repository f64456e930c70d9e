"""The sweep over batches: the database is the queue, and every step may be repeated (docs/batches.md).

validating → reserving → in progress → completed, expired or cancelled; `failed` where nothing was sent.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.utils import timezone

from gateway.engine.batch import BatchState, JobState, LineOutcome, LineState, batch_end
from gateway.engine.words import Wire
from gateway.ledger.database import DatabaseAway
from gateway.models import Batch, BatchFile, BatchJob, BatchLine
from gateway.services.batch_alone import lines_run_alone
from gateway.services.batch_books import LINES_PER_GROUP, LineBooks, given_up, released
from gateway.services.batch_files import KEPT_DAYS, OUTPUT_PURPOSE, new_id
from gateway.services.batch_intake import batch_read, jobs_make, lines_reserve
from gateway.services.batch_jobs import OPEN_JOBS, job_advance
from gateway.services.batch_results import line_done
from gateway.services.batch_turn import Turn, TurnLost
from gateway.services.batch_views import outcomes_of
from gateway.services.snapshot import Snapshot
from gateway.services.snapshot_load import snapshot_load

logger = logging.getLogger("gateway.batches")

_BATCHES_AT_A_TIME = 20
# Providers end a batch a day after it was made; whose results are not there a day later won't bring them.
GIVE_UP_AFTER = timedelta(days=1)


def batches_advance() -> None:
    """One turn at every batch under way that nobody else works at."""
    due = Batch.objects.filter(ended_at=None, lease_until__lte=timezone.now()).order_by("lease_until")
    batches = list(due[:_BATCHES_AT_A_TIME])
    if not batches:
        return
    snapshot = snapshot_load()
    for batch in batches:
        turn = Turn(batch)
        if turn.take():
            _one_turn(turn, snapshot, batch)


def _one_turn(turn: Turn, snapshot: Snapshot, batch: Batch) -> None:
    try:
        _advance(turn, snapshot, batch)
        turn.give_back()
    except TurnLost:
        logger.info("batch %s was taken over by another worker", batch.pk)
    except DatabaseAway as error:
        logger.warning("batch %s waits for the ledger: %s", batch.pk, error)
    except Exception as error:  # the others go on; this one is looked at again once its lease is over
        logger.error("batch %s could not be taken on: %s", batch.pk, type(error).__name__, exc_info=error)


def _advance(turn: Turn, snapshot: Snapshot, batch: Batch) -> None:
    batch.refresh_from_db()
    if batch.state == BatchState.VALIDATING.value:
        batch_read(turn, batch)
        batch.refresh_from_db()
    if batch.state == BatchState.RESERVING.value and batch.cancelling_at is None:
        lines_reserve(turn, snapshot, batch)
        batch.refresh_from_db()
    if batch.ended_at is not None:
        return
    stopping = batch.cancelling_at is not None or batch.expires_at <= turn.now()
    if stopping:
        _stop(turn, batch)
    else:
        jobs_make(batch, turn.now())
    for job in BatchJob.objects.filter(batch=batch, state__in=OPEN_JOBS).order_by("pk"):
        job_advance(turn, snapshot, batch, job, stopping=stopping)
    if batch.expires_at + GIVE_UP_AFTER <= turn.now():
        _give_up(turn, batch)
    if stopping:
        _stop(turn, batch)
    else:
        lines_run_alone(turn, batch)
    _finish(turn, batch)


def _stop(turn: Turn, batch: Batch) -> None:
    """What was not sent gets its result: cancelled, or expired. What was sent waits for its provider."""
    if batch.cancelling_at is not None and batch.state != BatchState.CANCELLING.value:
        Batch.objects.filter(pk=batch.pk, ended_at=None).update(state=BatchState.CANCELLING.value)
    outcome = LineOutcome.CANCELLED if batch.cancelling_at is not None else LineOutcome.EXPIRED
    unsent = (LineState.NEW.value, LineState.RESERVED.value, LineState.ALONE.value)
    lines = BatchLine.objects.filter(batch=batch, state__in=unsent).order_by("number")
    with LineBooks() as books:
        while some := list(lines[:LINES_PER_GROUP]):
            turn.renew()
            # New ones too: a worker may have died between reserving for a line and saying so.
            books.settle([released(line.completion_id, f"its batch is {outcome.value}", turn.now()) for line in some])
            for line in some:
                line_done(Wire(batch.wire), line, outcome, None, b"")


def _give_up(turn: Turn, batch: Batch) -> None:
    """A provider that never came back with its results may bill for all of them: its lines are booked at what they
    reserved, as unknown, and have expired."""
    lines = BatchLine.objects.filter(batch=batch, state=LineState.SENT.value).order_by("number")
    with LineBooks() as books:
        while some := list(lines[:LINES_PER_GROUP]):
            turn.renew()
            books.settle([given_up(line, turn.now()) for line in some])
            for line in some:
                line.cost_usd = line.reserved_usd
                line_done(Wire(batch.wire), line, LineOutcome.EXPIRED, None, b"")
    BatchJob.objects.filter(batch=batch, state__in=OPEN_JOBS).update(state=JobState.COLLECTED.value)


def _finish(turn: Turn, batch: Batch) -> None:
    """The batch ends with the last of its lines."""
    outcomes = outcomes_of(batch)
    if outcomes.get(LineOutcome.NONE):
        return
    batch.refresh_from_db()
    now = turn.now()
    files = _result_files(batch, outcomes, now) if batch.wire == Wire.OPENAI.value else {}
    state = batch_end(BatchState(batch.state), outcomes).value
    Batch.objects.filter(pk=batch.pk, ended_at=None).update(state=state, ended_at=now, **files)


def _result_files(batch: Batch, outcomes: dict[LineOutcome, int], now: datetime) -> dict[str, str]:
    succeeded = BatchLine.objects.filter(batch=batch, outcome=LineOutcome.SUCCEEDED.value)
    others = BatchLine.objects.filter(batch=batch).exclude(outcome=LineOutcome.SUCCEEDED.value)
    files = {}
    if outcomes.get(LineOutcome.SUCCEEDED):
        files["output_file_id"] = _result_file(
            batch, "output", sum(succeeded.values_list("size_bytes", flat=True)), now
        )
    if sum(outcomes.values()) > outcomes.get(LineOutcome.SUCCEEDED, 0):
        files["error_file_id"] = _result_file(batch, "error", sum(others.values_list("size_bytes", flat=True)), now)
    return files


def _result_file(batch: Batch, word: str, size_bytes: int, now: datetime) -> str:
    file = BatchFile.objects.create(
        id=new_id("file-"),
        team_id=batch.team_id,
        api_key_id=batch.api_key_id,
        filename=f"{batch.pk}_{word}.jsonl",
        purpose=OUTPUT_PURPOSE,
        size_bytes=size_bytes,
        created_at=now,
        expires_at=now + timedelta(days=KEPT_DAYS),
        batch_id=batch.pk,
    )
    return file.pk
