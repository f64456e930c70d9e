"""A batch's jobs at the providers: made once, found again after a crash, polled, and their results collected."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from gateway.crypto import decrypt_bytes
from gateway.engine.batch import JobFacts, JobState, JobStep, LineOutcome, LineState, job_step, runs_alone
from gateway.engine.configuration import Route, Target
from gateway.engine.errors import GatewayError, UpstreamAnswer, UpstreamError
from gateway.engine.words import Operation, Wire
from gateway.ledger.records import Settlement
from gateway.models import Batch, BatchJob, BatchLine
from gateway.providers.batches import (
    BatchCallFailed,
    LineResult,
    ProviderBatches,
    provider_batches,
    refusal_of,
)
from gateway.services.batch_books import (
    LINES_PER_GROUP,
    LineBooks,
    answered,
    estimated,
    line_translated,
    refused,
    released,
)
from gateway.services.batch_results import line_done
from gateway.services.batch_turn import Turn
from gateway.services.charging import price_of
from gateway.services.snapshot import Snapshot
from gateway.wires import parse_call, render_error, translate_answer

logger = logging.getLogger("gateway.batches")

OPEN_JOBS = [state.value for state in (JobState.PREPARING, JobState.CREATING, JobState.RUNNING, JobState.ENDED)]


def job_advance(turn: Turn, snapshot: Snapshot, batch: Batch, job: BatchJob, *, stopping: bool) -> None:
    """One step of one job; what fails is looked at again with the next sweep."""
    provider_now = snapshot.providers.get(job.provider)
    if job.state == JobState.PREPARING.value and (provider_now is None or not provider_now.enabled):
        _abandon(turn, job, "its provider is no longer in use")
        return
    if provider_now is None:
        return  # until it is back, or the batch is given up
    target = Target.of(provider_now, job.model)
    step = job_step(
        _facts(job, turn.now(), stopping),
        patience_seconds=settings.LLMOPS_BATCH_PATIENCE_SECONDS,
        reconcile_seconds=settings.LLMOPS_BATCH_RECONCILE_SECONDS,
    )
    if step in (JobStep.WAIT, JobStep.NONE):
        return
    provider = provider_batches(target)
    try:
        _Work(turn, snapshot, batch, job, target, provider).do(step, stopping=stopping)
    except BatchCallFailed as error:
        _note(job, str(error))
    finally:
        provider.close()


def _facts(job: BatchJob, now: datetime, stopping: bool) -> JobFacts:
    return JobFacts(JobState(job.state), _seconds(job.asked_at, now), _seconds(job.failing_since, now), stopping)


def _seconds(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else (now - since).total_seconds()


def _note(job: BatchJob, message: str) -> None:
    logger.warning("batch job %s at %s: %s", job.token, job.provider, message)
    BatchJob.objects.filter(pk=job.pk).update(message=message[:300])


def _abandon(turn: Turn, job: BatchJob, why: str) -> None:
    """The provider never had it: its lines give back what they reserved at the batch price and run alone."""
    _note(job, why)
    lines = BatchLine.objects.filter(job=job, state=LineState.SENT.value)
    with LineBooks() as books:
        while some := list(lines[:LINES_PER_GROUP]):
            turn.renew()
            lines_to_alone(turn, books, some, why)
    BatchJob.objects.filter(pk=job.pk).update(state=JobState.ABANDONED.value)


def lines_to_alone(turn: Turn, books: LineBooks, lines: list[BatchLine], why: str) -> None:
    books.settle([released(line.completion_id, f"runs by itself: {why}", turn.now()) for line in lines])
    sent = BatchLine.objects.filter(pk__in=[line.pk for line in lines], state=LineState.SENT.value)
    sent.update(state=LineState.ALONE.value)


@dataclass(frozen=True, slots=True)
class _Read:
    """A line's result: how it is booked, and what the caller gets."""

    settlement: Settlement
    outcome: LineOutcome
    status: int
    body: bytes


class _Work:
    """What may be done about one job now."""

    def __init__(
        self,
        turn: Turn,
        snapshot: Snapshot,
        batch: Batch,
        job: BatchJob,
        target: Target,
        provider: ProviderBatches,
    ) -> None:
        self._turn = turn
        self._snapshot = snapshot
        self._batch = batch
        self._job = job
        self._target = target
        self._provider = provider
        self._operation = Operation(batch.operation)

    def do(self, step: JobStep, *, stopping: bool) -> None:
        self._turn.renew()
        if step is JobStep.CREATE:
            self._create()
        elif step is JobStep.RECONCILE:
            self._reconcile()
        elif step is JobStep.POLL:
            self._poll(stopping=stopping)
        elif step is JobStep.COLLECT:
            self._collect()
        else:
            _abandon(self._turn, self._job, self._job.message or "its batch ends before it was sent")

    def _create(self) -> None:
        """That we ask is written down before we do, by whoever comes first; then what came of it."""
        lines = list(self._requests())
        rows = BatchJob.objects.filter(pk=self._job.pk)
        asking = rows.filter(state=JobState.PREPARING.value)
        asked_at = self._turn.now()
        if not lines or not asking.update(state=JobState.CREATING.value, asked_at=asked_at):
            return
        try:
            upstream_id = self._provider.create(self._job.token, self._operation, lines)
        except BatchCallFailed as error:
            if not error.made_nothing:
                raise
            rows.update(state=JobState.PREPARING.value, failing_since=self._job.failing_since or self._turn.now())
            if error.final:
                _abandon(self._turn, self._job, str(error))
            raise
        ours = rows.filter(state=JobState.CREATING.value, asked_at=asked_at)
        if not ours.update(state=JobState.RUNNING.value, upstream_id=upstream_id, message="", failing_since=None):
            # Somebody gave this call up for lost meanwhile; two of one batch would cost twice.
            logger.error("batch job %s: %s at %s came too late", self._job.token, upstream_id, self._job.provider)
            self._provider.cancel(upstream_id)

    def _requests(self) -> Iterator[tuple[str, bytes]]:
        for line in BatchLine.objects.filter(job=self._job, state=LineState.SENT.value).order_by("number").iterator():
            parsed = parse_call(self._operation, decrypt_bytes(line.request))
            translated = line_translated(
                self._operation, parsed, self._target, self._route(parsed.model), bounded=line.bounded
            )
            yield line.completion_id, translated.body

    def _route(self, model: str) -> Route:
        """The line's route, as far as its limits matter; one that is gone meanwhile leaves the defaults."""
        return self._snapshot.routes.get(model) or Route(name=model, targets=(self._target,))

    def _reconcile(self) -> None:
        """Adopt the batch if the provider has it; ask anew if it is certain that it hasn't."""
        job = self._job
        ids = frozenset(BatchLine.objects.filter(job=job).values_list("completion_id", flat=True))
        known = frozenset(BatchJob.objects.exclude(upstream_id="").values_list("upstream_id", flat=True))
        found = self._provider.find(job.token, ids, job.asked_at or job.created_at, known)
        rows = BatchJob.objects.filter(pk=job.pk, state=JobState.CREATING.value)
        if found.upstream_id:
            rows.update(state=JobState.RUNNING.value, upstream_id=found.upstream_id, message="", failing_since=None)
        elif not found.undecided:
            rows.update(state=JobState.PREPARING.value, failing_since=job.failing_since or job.asked_at)

    def _poll(self, *, stopping: bool) -> None:
        rows = BatchJob.objects.filter(pk=self._job.pk, state=JobState.RUNNING.value)
        if self._provider.ended(self._job.upstream_id):
            rows.update(state=JobState.ENDED.value)
        elif stopping and not self._job.cancel_sent:
            self._provider.cancel(self._job.upstream_id)
            rows.update(cancel_sent=True)

    def _collect(self) -> None:
        with LineBooks() as books:
            some: list[LineResult] = []
            for result in self._provider.results(self._job.upstream_id):
                some.append(result)
                if len(some) >= LINES_PER_GROUP:
                    self._take_results(books, some)
                    some = []
            self._take_results(books, some)
            left = BatchLine.objects.filter(job=self._job, state=LineState.SENT.value)
            while lines := list(left[:LINES_PER_GROUP]):
                self._turn.renew()
                lines_to_alone(self._turn, books, lines, "its provider's batch ended without a result for it")
        BatchJob.objects.filter(pk=self._job.pk).update(state=JobState.COLLECTED.value)

    def _take_results(self, books: LineBooks, results: list[LineResult]) -> None:
        """Into the ledger first: settled again after a crash, it changes nothing."""
        self._turn.renew()
        by_id = {result.custom_id: result for result in results}
        lines = BatchLine.objects.filter(job=self._job, state=LineState.SENT.value, completion_id__in=by_id)
        read = [(line, self._read(line, by_id[line.completion_id])) for line in lines]
        books.settle([one.settlement for _, one in read if one is not None])
        for line, one in read:
            if one is not None:
                line.cost_usd = one.settlement.cost_usd
                line_done(Wire(self._batch.wire), line, one.outcome, one.status, one.body)
        alone = [line for line, one in read if one is None]
        lines_to_alone(self._turn, books, alone, "its provider could not answer it in its batch")

    def _read(self, line: BatchLine, result: LineResult) -> _Read | None:
        """The line's result in the caller's wire; None where it is to run by itself."""
        now, surface, kind = self._turn.now(), self._operation.surface, self._target.provider.kind
        if runs_alone(result.status):
            return None
        if result.status != 200:
            return self._refusal(line, result, now)
        parsed = parse_call(self._operation, decrypt_bytes(line.request))
        route = self._route(parsed.model)
        context = line_translated(self._operation, parsed, self._target, route, bounded=line.bounded).context
        price = price_of(self._snapshot.price_book, self._target, line.reserved_at or now)
        try:
            answer = translate_answer(surface, kind, result.body, context)
        except UpstreamError as error:
            return self._unreadable(line, error, now)
        settlement = answered(line, self._target, price, answer, now)
        return _Read(settlement, LineOutcome.SUCCEEDED, 200, answer.body)

    def _refusal(self, line: BatchLine, result: LineResult, now: datetime) -> _Read:
        """What the provider says of the request itself, in the caller's wire."""
        error = refusal_of(self._target.provider.kind, result.status or 0, result.body)
        told: GatewayError = UpstreamAnswer(error)
        status, _, body = render_error(self._operation.surface, told, line.completion_id)
        return _Read(refused(line, self._target, status, error.message, now), LineOutcome.ERRORED, status, body)

    def _unreadable(self, line: BatchLine, error: UpstreamError, now: datetime) -> _Read:
        """The provider bills for an answer that nobody can read."""
        told = GatewayError(f"The provider's answer can't be read: {error.message}")
        status, _, body = render_error(self._operation.surface, told, line.completion_id)
        return _Read(estimated(line, self._target, told.message, now), LineOutcome.ERRORED, status, body)
