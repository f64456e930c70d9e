"""The first half of a batch's way: its file is read, its lines are reserved for, and grouped into jobs."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from django.db import transaction

from gateway.crypto import decrypt_bytes, encrypt_bytes
from gateway.engine.batch import MAX_JOB_BYTES, MAX_LINES_PER_JOB, BatchState, JobState, LineState
from gateway.engine.errors import BudgetExceeded, GatewayError, NotAuthenticated
from gateway.engine.words import Wire
from gateway.models import Batch, BatchJob, BatchLine
from gateway.services.batch_books import LINES_PER_GROUP, LineBooks, line_draft, released
from gateway.services.batch_cache import Drafted, lines_cached
from gateway.services.batch_files import file_lines
from gateway.services.batch_lines import MAX_LINES, Problem, ReadLine, read_line
from gateway.services.batch_results import line_fail
from gateway.services.batch_turn import Turn
from gateway.services.snapshot import ApiKey, Snapshot

# Only so many faults of a file are told; whoever has more has one mistake many times.
MAX_PROBLEMS = 50
_ROWS_AT_A_TIME = 200


def batch_read(turn: Turn, batch: Batch) -> None:
    """From the file to rows. A file with a line that can't be part of a batch fails the batch, naming every such line.
    May be repeated: a line that is there already stays."""
    problems = [problem for _, problem in _read(batch) if isinstance(problem, Problem)][:MAX_PROBLEMS]
    count = 0 if problems else _store_lines(turn, batch)
    if not problems and not count:
        problems = [Problem("empty_file", "The input file has no lines.")]
    if problems:
        batch_fail(batch, problems, turn.now())
        return
    Batch.objects.filter(pk=batch.pk).update(line_count=count, state=BatchState.RESERVING.value)


def batch_fail(batch: Batch, problems: list[Problem], now: datetime) -> None:
    told = [problem.as_dict() for problem in problems]
    Batch.objects.filter(pk=batch.pk, ended_at=None).update(state=BatchState.FAILED.value, errors=told, ended_at=now)


def _read(batch: Batch) -> Iterator[tuple[int, ReadLine | Problem]]:
    """Every line, with what is wrong with it."""
    seen: set[str] = set()
    for count, (number, raw) in enumerate(file_lines(batch.input_file_id), start=1):
        read = read_line(raw, number, batch.endpoint)
        if isinstance(read, ReadLine) and read.custom_id in seen:
            said = f"custom_id {read.custom_id[:100]!r} is used twice."
            read = Problem("duplicate_custom_id", said, number, "custom_id")
        if count > MAX_LINES:
            yield number, Problem("too_many_tasks", f"A batch has at most {MAX_LINES} lines.")
            return
        if isinstance(read, ReadLine):
            seen.add(read.custom_id)
        yield number, read


def _store_lines(turn: Turn, batch: Batch) -> int:
    rows: list[BatchLine] = []
    count = 0
    for number, read in _read(batch):
        assert isinstance(read, ReadLine)
        rows.append(_row(batch, number, read))
        count += 1
        if len(rows) >= _ROWS_AT_A_TIME:
            BatchLine.objects.bulk_create(rows, ignore_conflicts=True)
            rows = []
            turn.renew()
    BatchLine.objects.bulk_create(rows, ignore_conflicts=True)
    return count


def _row(batch: Batch, number: int, read: ReadLine) -> BatchLine:
    return BatchLine(
        batch=batch,
        number=number,
        custom_id=read.custom_id,
        state=LineState.NEW.value,
        completion_id=line_completion_id(batch, number),
        size_bytes=len(read.body),
        request=encrypt_bytes(read.body),
    )


def line_completion_id(batch: Batch, number: int) -> str:
    """Always the same for the same line, so that a step that is repeated finds what it did before."""
    return f"req_{int(batch.created_at.timestamp() * 1000):012x}{batch.pk[-10:]}{number:06x}"


def lines_reserve(turn: Turn, snapshot: Snapshot, batch: Batch) -> None:
    """Ask the budgets for every line. One refusal fails the whole batch and gives back the rest."""
    key = next((one for one in snapshot.keys.values() if one.id == batch.api_key_id), None)
    new = BatchLine.objects.filter(batch=batch, state=LineState.NEW.value).order_by("number")
    with LineBooks() as books:
        if batch.errors:  # refused already, by a worker that died over it
            _refuse(turn, books, batch, BudgetExceeded(batch.errors[0]["message"]))
            return
        while lines := list(new[:LINES_PER_GROUP]):
            turn.renew()
            refusal = _reserve(turn, snapshot, books, batch, key, lines)
            if refusal is not None:
                _refuse(turn, books, batch, refusal)
                return
    Batch.objects.filter(pk=batch.pk).update(state=BatchState.IN_PROGRESS.value, in_progress_at=turn.now())


def _reserve(
    turn: Turn, snapshot: Snapshot, books: LineBooks, batch: Batch, key: ApiKey | None, lines: list[BatchLine]
) -> BudgetExceeded | None:
    drafts: list[Drafted] = []
    for line in lines:
        try:
            if key is None or key.disabled:
                raise NotAuthenticated("The API key of this batch is no longer in force.")
            body = decrypt_bytes(line.request)
            drafts.append((line, body, line_draft(snapshot, batch, key, line, body, turn.now())))
        except GatewayError as error:
            # A worker that died may have reserved for it, when it could still be served.
            books.settle([released(line.completion_id, error.message, turn.now())])
            line_fail(Wire(batch.wire), line, error)
    if key is not None:
        drafts = lines_cached(snapshot, books, batch, key, drafts, turn.now())
    refusals = books.reserve([draft.intent for _, _, draft in drafts]) if drafts else []
    for line, _, draft in drafts:
        line.state, line.bounded, line.reserved_at = LineState.RESERVED.value, draft.bounded, draft.intent.created_at
        line.provider, line.model = draft.target.provider.name, draft.target.model
        line.reserved_usd = draft.intent.reserved_usd
    fields = ["state", "bounded", "reserved_at", "provider", "model", "reserved_usd"]
    kept = [line for (line, _, _), refusal in zip(drafts, refusals, strict=True) if refusal is None]
    BatchLine.objects.bulk_update(kept, fields)
    return next((refusal for refusal in refusals if refusal is not None), None)


def _refuse(turn: Turn, books: LineBooks, batch: Batch, refusal: BudgetExceeded) -> None:
    """All or nothing: a batch that a budget has no room for is not begun. OpenAI's wire tells it of the batch,
    Anthropic's, which has no failed batches, of every request.

    The refusal is written down first: a line that was given back is settled and can't be reserved for again, so whoever
    takes the batch up after a crash has to refuse it too, even if there were room by then.
    """
    problem = Problem(refusal.code, refusal.message)
    Batch.objects.filter(pk=batch.pk).update(errors=[problem.as_dict()])
    reserved = BatchLine.objects.filter(batch=batch, state=LineState.RESERVED.value)
    while lines := list(reserved[:LINES_PER_GROUP]):
        turn.renew()
        books.settle([released(line.completion_id, refusal.message, turn.now()) for line in lines])
        reserved.filter(pk__in=[line.pk for line in lines]).update(state=LineState.NEW.value)
    if batch.wire == Wire.OPENAI.value:
        batch_fail(batch, [problem], turn.now())
        return
    for line in BatchLine.objects.filter(batch=batch, state=LineState.NEW.value).iterator(_ROWS_AT_A_TIME):
        line_fail(Wire(batch.wire), line, refusal)
    Batch.objects.filter(pk=batch.pk).update(state=BatchState.IN_PROGRESS.value, in_progress_at=turn.now())


def jobs_make(batch: Batch, now: datetime) -> None:
    """Group what is reserved by target. A job and its lines belong together from one transaction on."""
    reserved = BatchLine.objects.filter(batch=batch, state=LineState.RESERVED.value).order_by("number")
    groups: defaultdict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for pk, provider, model, size in reserved.values_list("pk", "provider", "model", "size_bytes"):
        groups[provider, model].append((pk, size))
    for (provider, model), lines in groups.items():
        for part in _parts(lines):
            _job_make(batch, provider, model, part, now)


def _job_make(batch: Batch, provider: str, model: str, lines: list[int], now: datetime) -> None:
    with transaction.atomic():
        job = BatchJob.objects.create(
            batch=batch,
            provider=provider,
            model=model,
            token=f"job_{secrets.token_hex(16)}",
            state=JobState.PREPARING.value,
            created_at=now,
        )
        for start in range(0, len(lines), _ROWS_AT_A_TIME):
            some = BatchLine.objects.filter(pk__in=lines[start : start + _ROWS_AT_A_TIME])
            some.filter(state=LineState.RESERVED.value).update(state=LineState.SENT.value, job=job)


def _parts(lines: list[tuple[int, int]]) -> Iterator[list[int]]:
    """Parts that one provider takes at once, and that fit memory."""
    part: list[int] = []
    total = 0
    for pk, size in lines:
        if part and (len(part) >= MAX_LINES_PER_JOB or total + size > MAX_JOB_BYTES):
            yield part
            part, total = [], 0
        part.append(pk)
        total += size
    if part:
        yield part
