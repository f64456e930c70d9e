"""What is next for a batch's parts and lines, row by row."""

from __future__ import annotations

import pytest

from gateway.engine.batch import (
    BatchState,
    JobFacts,
    JobState,
    JobStep,
    LineOutcome,
    batch_end,
    job_step,
    runs_alone,
)


@pytest.mark.parametrize(
    ("job", "step"),
    [
        (JobFacts(JobState.PREPARING), JobStep.CREATE),
        (JobFacts(JobState.PREPARING, failing_seconds=60), JobStep.CREATE),
        (JobFacts(JobState.PREPARING, failing_seconds=61), JobStep.ABANDON),
        (JobFacts(JobState.PREPARING, stopping=True), JobStep.ABANDON),
        (JobFacts(JobState.CREATING, asked_seconds=9), JobStep.WAIT),
        (JobFacts(JobState.CREATING, asked_seconds=10), JobStep.RECONCILE),
        (JobFacts(JobState.CREATING, asked_seconds=10, stopping=True), JobStep.RECONCILE),
        (JobFacts(JobState.RUNNING, stopping=True), JobStep.POLL),
        (JobFacts(JobState.ENDED), JobStep.COLLECT),
        (JobFacts(JobState.COLLECTED), JobStep.NONE),
        (JobFacts(JobState.ABANDONED), JobStep.NONE),
    ],
)
def test_what_is_next_for_a_job(job: JobFacts, step: JobStep) -> None:
    assert job_step(job, patience_seconds=60, reconcile_seconds=10) is step


@pytest.mark.parametrize("status", [None, 401, 403, 404, 408, 429, 500, 503, 529])
def test_a_line_that_its_provider_failed_runs_by_itself(status: int | None) -> None:
    assert runs_alone(status)


@pytest.mark.parametrize("status", [200, 400, 413, 422])
def test_what_a_provider_says_of_the_request_is_its_result(status: int) -> None:
    assert not runs_alone(status)


@pytest.mark.parametrize(
    ("state", "outcomes", "end"),
    [
        (BatchState.IN_PROGRESS, {LineOutcome.SUCCEEDED: 2, LineOutcome.ERRORED: 1}, BatchState.COMPLETED),
        (BatchState.IN_PROGRESS, {LineOutcome.SUCCEEDED: 2, LineOutcome.EXPIRED: 1}, BatchState.EXPIRED),
        (BatchState.CANCELLING, {LineOutcome.SUCCEEDED: 3}, BatchState.CANCELLED),
        (BatchState.CANCELLING, {LineOutcome.EXPIRED: 3}, BatchState.CANCELLED),
    ],
)
def test_how_a_batch_ends(state: BatchState, outcomes: dict[LineOutcome, int], end: BatchState) -> None:
    assert batch_end(state, outcomes) is end
