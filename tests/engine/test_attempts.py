"""Retry, fallback, deadline: which call follows which failure, and when (DESIGN, "Attempts")."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.engine.configuration import BreakerPolicy, RetryBudget, RetryPolicy, Timeouts
from gateway.engine.errors import (
    AllTargetsFailed,
    BreakerOpen,
    DeadlineExceeded,
    GatewayError,
    InvalidRequest,
    UpstreamAnswer,
    UpstreamError,
    UpstreamRejectedUs,
)
from gateway.engine.words import AttemptOutcome, BreakerState, FailureKind
from tests.engine.scripted import (
    ANSWER,
    FALLBACK,
    HANG,
    NO_RETRIES,
    PRIMARY,
    Wait,
    World,
    failure,
    provider,
    rate_limited,
    refused,
    target,
    unavailable,
)
from tests.virtual_time import stall

PATIENT = replace(PRIMARY, breaker=BreakerPolicy(failure_threshold=100))


def outcomes(completion: Any) -> list[tuple[str, AttemptOutcome | None]]:
    return [(attempt.target.provider.name, attempt.outcome) for attempt in completion.attempts]


async def test_first_target_answers_and_nothing_else_is_called(world: World) -> None:
    completion = world.completion()
    assert await completion.obtain() is ANSWER
    assert (world.primary.calls, world.fallback.calls) == (1, 0)
    assert completion.fallbacks == []


async def test_an_answered_attempt_records_what_the_provider_told(world: World) -> None:
    world.script("primary", [Wait(0.25), ANSWER])
    completion = world.completion()
    await completion.obtain()
    (attempt,) = completion.attempts
    assert (attempt.number, attempt.retry, attempt.sent, attempt.latency_ms) == (1, 0, True, 250)
    assert (attempt.outcome, attempt.usage, attempt.upstream_id) == (AttemptOutcome.SUCCEEDED, ANSWER.usage, "up-1")
    assert completion.served is attempt


async def test_a_failing_target_gets_three_retries_with_doubling_waits(world: World) -> None:
    world.script("primary", *[unavailable() for _ in range(9)])
    completion = world.completion()
    await completion.obtain()
    assert world.primary.called_at == [0.0, 0.5, 1.5, 3.5]
    assert [attempt.retry for attempt in completion.attempts] == [0, 1, 2, 3, 0]


@pytest.mark.parametrize("retries", [0, 1, 3, 6])
async def test_a_target_gets_one_try_and_its_retries_and_never_more(world: World, retries: int) -> None:
    world.script("primary", *[unavailable() for _ in range(50)])
    only = target(PATIENT, retry=RetryPolicy(retries=retries))
    with pytest.raises(AllTargetsFailed):
        await world.completion(only).obtain()
    assert world.primary.calls == retries + 1


async def test_a_retry_that_succeeds_needs_no_fallback(world: World) -> None:
    world.script("primary", unavailable(), unavailable(), ANSWER)
    completion = world.completion()
    assert await completion.obtain() is ANSWER
    assert outcomes(completion) == [
        ("primary", AttemptOutcome.FAILED),
        ("primary", AttemptOutcome.FAILED),
        ("primary", AttemptOutcome.SUCCEEDED),
    ]
    assert completion.fallbacks == []


async def test_no_time_passes_between_the_last_failure_and_the_fallback(world: World) -> None:
    world.script("primary", *[unavailable() for _ in range(4)])
    await world.completion().obtain()
    assert world.fallback.called_at == [world.primary.called_at[-1]]
    assert len(world.sleeps) == 3


async def test_a_fallback_says_from_where_to_where_why_and_after_how_long(world: World) -> None:
    world.script("primary", *[[Wait(1), unavailable()] for _ in range(4)])
    completion = world.completion()
    await completion.obtain()
    (step,) = completion.fallbacks
    assert (step.number, step.from_target.name, step.to_target.name) == (1, "primary/model", "fallback/model")
    assert step.reason == "server error after 3 retries: server_error"
    assert step.after_ms == 7500
    assert completion.attempts[-1].reason == step.reason


@pytest.mark.parametrize(
    "error",
    [
        failure(FailureKind.CONNECTION),
        failure(status=408, counts_against_breaker=False),
        failure(status=409, counts_against_breaker=False),
        rate_limited(),
        failure(status=500),
        failure(FailureKind.UNREADABLE, status=200),
    ],
    ids=lambda error: f"{error.kind.value}-{error.status}",
)
async def test_passing_troubles_are_retried_on_the_same_target(world: World, error: UpstreamError) -> None:
    world.script("primary", error, ANSWER)
    await world.completion().obtain()
    assert (world.primary.calls, world.fallback.calls) == (2, 0)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (FailureKind.REJECTED_US, 401),
        (FailureKind.QUOTA_EXHAUSTED, 402),
        (FailureKind.REJECTED_US, 403),
        (FailureKind.MODEL_NOT_FOUND, 404),
        (FailureKind.QUOTA_EXHAUSTED, 429),
    ],
)
async def test_what_is_wrong_with_our_account_or_model_name_falls_back_at_once(
    world: World, kind: FailureKind, status: int
) -> None:
    world.script("primary", refused(kind, status))
    assert await world.completion().obtain() is ANSWER
    assert (world.primary.calls, world.fallback.calls, world.time()) == (1, 1, 0.0)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (FailureKind.INVALID_REQUEST, 400),
        (FailureKind.INVALID_REQUEST, 405),
        (FailureKind.INVALID_REQUEST, 413),
        (FailureKind.INVALID_REQUEST, 422),
        (FailureKind.CONTENT_POLICY, 400),
    ],
)
async def test_what_is_wrong_with_the_request_is_passed_on_without_a_fallback(
    world: World, kind: FailureKind, status: int
) -> None:
    world.script("primary", refused(kind, status))
    with pytest.raises(UpstreamAnswer) as caught:
        await world.completion().obtain()
    assert (caught.value.status, caught.value.message) == (status, f"refused: {kind}")
    assert (world.primary.calls, world.fallback.calls) == (1, 0)


async def test_a_refusal_that_is_passed_on_knows_its_wire_and_keeps_its_body(world: World) -> None:
    error = refused(FailureKind.INVALID_REQUEST, 400)
    error.body, error.code = b'{"error": {}}', "bad_thing"
    world.script("primary", error)
    with pytest.raises(UpstreamAnswer) as caught:
        await world.completion().obtain()
    assert (caught.value.wire, caught.value.body, caught.value.code) == (PRIMARY.kind, b'{"error": {}}', "bad_thing")


async def test_a_silent_provider_is_left_at_once(world: World) -> None:
    world.script("primary", HANG)
    assert await world.completion().obtain() is ANSWER
    assert (world.primary.calls, world.fallback.called_at, world.sleeps) == (1, [30.0], [])


async def test_a_timed_out_attempt_may_be_billed_and_counts_against_the_breaker(world: World) -> None:
    world.script("primary", HANG)
    completion = world.completion()
    await completion.obtain()
    error = completion.attempts[0].error
    assert error is not None
    assert (error.kind, error.may_be_billed, error.message) == (FailureKind.TIMEOUT, True, "no answer within 30 s")
    assert world.breakers.reading(PRIMARY).consecutive_failures == 1


async def test_a_target_may_have_a_time_out_of_its_own(world: World) -> None:
    world.script("primary", HANG)
    quick = target(PRIMARY, timeouts=Timeouts(attempt_seconds=2))
    await world.completion(quick, target(FALLBACK)).obtain()
    assert world.fallback.called_at == [2.0]


@pytest.mark.parametrize(
    ("windows", "called"),
    [
        ((128_000, 16_000, 200_000), ["m0", "m2"]),
        ((128_000, 128_000, None), ["m0", "m2"]),
        ((None, 16_000, 200_000), ["m0", "m1"]),
        ((128_000, 64_000, 32_000), ["m0"]),
    ],
    ids=["larger", "unknown", "own window unknown", "none"],
)
async def test_too_long_a_context_goes_only_to_a_larger_or_unknown_window(
    world: World, windows: tuple[int | None, ...], called: list[str]
) -> None:
    world.script("primary", refused(FailureKind.CONTEXT_TOO_LONG, 400))
    targets = [target(PRIMARY, f"m{i}", window_tokens=window) for i, window in enumerate(windows)]
    completion = world.completion(*targets)
    if called == ["m0"]:
        with pytest.raises(UpstreamAnswer) as caught:
            await completion.obtain()
        assert caught.value.status == 400
    else:
        await completion.obtain()
    assert world.primary.called_models == called


# Retry-After ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked_seconds", [0.2, 1.5, 5.0])
async def test_a_short_retry_after_is_waited_for_on_the_same_target(world: World, asked_seconds: float) -> None:
    world.script("primary", rate_limited(asked_seconds), ANSWER)
    await world.completion().obtain()
    assert world.primary.called_at == [0.0, asked_seconds]


async def test_a_longer_retry_after_means_the_next_target_at_once(world: World) -> None:
    world.script("primary", rate_limited(5.1))
    completion = world.completion()
    await completion.obtain()
    assert (world.primary.calls, world.fallback.called_at) == (1, [0.0])
    assert completion.fallbacks[0].reason == "rate limited: waiting would take too long"


async def test_without_a_next_target_a_long_retry_after_is_waited_for_if_it_fits_the_deadline(world: World) -> None:
    world.script("primary", rate_limited(40), ANSWER)
    assert await world.completion(target(PRIMARY)).obtain() is ANSWER
    assert world.primary.called_at == [0.0, 40.0]


async def test_a_retry_after_beyond_the_deadline_is_told_the_client(world: World) -> None:
    world.script("primary", rate_limited(91))
    with pytest.raises(UpstreamAnswer) as caught:
        await world.completion(target(PRIMARY)).obtain()
    assert (caught.value.status, caught.value.retry_after_seconds, world.time()) == (429, 91, 0.0)


# The deadline --------------------------------------------------------------------------------------------------------


async def test_the_deadline_ends_an_attempt_under_way(world: World) -> None:
    world.script("primary", HANG)
    completion = world.completion(deadline_seconds=10)
    with pytest.raises(DeadlineExceeded):
        await completion.obtain()
    assert (world.time(), world.fallback.calls) == (10.0, 0)
    assert completion.attempts[0].may_be_billed


@pytest.mark.parametrize(
    ("deadline_seconds", "failures"),
    [
        pytest.param(10, 1, id="the whole deadline was its"),
        pytest.param(25, 1, id="longer than its first token may take"),
        pytest.param(4, 0, id="no longer than connecting may take"),
    ],
)
async def test_a_deadline_counts_against_a_provider_that_had_its_chance(
    world: World, deadline_seconds: float, failures: int
) -> None:
    world.script("primary", HANG)
    with pytest.raises(DeadlineExceeded):
        await world.completion(deadline_seconds=deadline_seconds).obtain()
    assert world.breakers.reading(PRIMARY).consecutive_failures == failures


async def test_a_deadline_that_others_used_up_says_nothing_about_the_last_provider(world: World) -> None:
    world.script("primary", [Wait(4.5), unavailable()])
    world.script("fallback", HANG)
    hasty = replace(PRIMARY, retry=replace(PRIMARY.retry, retries=0))
    with pytest.raises(DeadlineExceeded):
        await world.completion(target(hasty), target(FALLBACK), deadline_seconds=10).obtain()
    assert world.breakers.reading(FALLBACK).consecutive_failures == 0


async def test_five_requests_with_a_short_deadline_open_the_breaker_of_a_hanging_provider(world: World) -> None:
    world.script("primary", *[HANG] * 5)
    for _ in range(5):
        with pytest.raises(DeadlineExceeded):
            await world.completion(target(PRIMARY), target(FALLBACK), deadline_seconds=10).obtain()
    await world.completion(target(PRIMARY), target(FALLBACK), deadline_seconds=10).obtain()
    assert (world.primary.calls, world.fallback.calls) == (5, 1)


async def test_a_wait_that_does_not_fit_the_deadline_is_never_begun(world: World) -> None:
    world.script("primary", [Wait(0.8), unavailable()])
    await world.completion(deadline_seconds=1).obtain()
    assert (world.sleeps, world.fallback.called_at) == ([], [0.8])


async def test_all_attempts_together_keep_the_deadline(world: World) -> None:
    world.script("primary", *[[Wait(20), unavailable()] for _ in range(4)])
    world.script("fallback", HANG)
    with pytest.raises(DeadlineExceeded):
        await world.completion(deadline_seconds=90).obtain()
    assert world.time() == 90.0


async def test_a_step_that_the_deadline_forbids_is_not_recorded_as_a_fallback(world: World) -> None:
    """The loop was busy just as the answer came, and now the time is up."""

    def late() -> None:
        stall(10)
        raise refused(FailureKind.MODEL_NOT_FOUND, 404)

    world.script("primary", late)
    completion = world.completion(deadline_seconds=10)
    with pytest.raises(DeadlineExceeded):
        await completion.obtain()
    assert (completion.fallbacks, world.fallback.calls) == ([], 0)


# What the client is told at the end ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "expected", "status", "code"),
    [
        (unavailable(), AllTargetsFailed, 503, "all_targets_failed"),
        (failure(FailureKind.CONNECTION), AllTargetsFailed, 503, "all_targets_failed"),
        (failure(FailureKind.UNREADABLE, status=200), AllTargetsFailed, 503, "all_targets_failed"),
        (failure(FailureKind.TIMEOUT, retryable=False), DeadlineExceeded, 504, "deadline_exceeded"),
        (refused(FailureKind.REJECTED_US, 401), UpstreamRejectedUs, 502, "upstream_rejected"),
        (refused(FailureKind.REJECTED_US, 403), UpstreamRejectedUs, 502, "upstream_rejected"),
        (refused(FailureKind.QUOTA_EXHAUSTED, 402), UpstreamRejectedUs, 502, "upstream_rejected"),
        (refused(FailureKind.QUOTA_EXHAUSTED, 400), UpstreamRejectedUs, 502, "upstream_rejected"),
        (refused(FailureKind.QUOTA_EXHAUSTED, 429), UpstreamAnswer, 429, "quota_exhausted"),
        (refused(FailureKind.MODEL_NOT_FOUND, 404), UpstreamAnswer, 404, "model_not_found"),
        (rate_limited(), UpstreamAnswer, 429, "rate_limited"),
    ],
    ids=lambda value: str(value) if isinstance(value, UpstreamError) else None,
)
async def test_the_client_is_told_what_the_last_failure_means(
    world: World, error: UpstreamError, expected: type[GatewayError], status: int, code: str
) -> None:
    world.script("primary", unavailable())
    world.script("fallback", error)
    targets = target(PRIMARY, retry=NO_RETRIES), target(FALLBACK, retry=NO_RETRIES)
    with pytest.raises(expected) as caught:
        await world.completion(*targets).obtain()
    assert (caught.value.status, caught.value.code) == (status, code)


async def test_all_targets_failed_lists_the_attempts(world: World) -> None:
    world.script("primary", unavailable())
    world.script("fallback", failure(FailureKind.CONNECTION))
    targets = target(PRIMARY, retry=NO_RETRIES), target(FALLBACK, retry=NO_RETRIES)
    with pytest.raises(AllTargetsFailed) as caught:
        await world.completion(*targets).obtain()
    assert caught.value.details["attempts"] == [
        "primary/model: server_error (HTTP 503)",
        "fallback/model: connection",
    ]


async def test_a_route_without_targets_says_so(world: World) -> None:
    completion = world.completion()
    completion.plan = replace(completion.plan, targets=())
    with pytest.raises(AllTargetsFailed, match="no target that is switched on"):
        await completion.obtain()


# Breakers on the way -------------------------------------------------------------------------------------------------


async def test_an_open_breaker_sends_the_request_to_the_fallback_without_a_call(world: World) -> None:
    await world.open_breaker()
    completion = world.completion()
    await completion.obtain()
    assert (world.primary.calls, world.fallback.called_at) == (0, [0.0])
    assert outcomes(completion)[0] == ("primary", AttemptOutcome.SKIPPED)
    assert completion.fallbacks[0].reason.startswith("breaker open: the breaker of primary is open")


async def test_retries_stop_without_a_wait_when_the_breaker_opens_under_them(world: World) -> None:
    touchy = replace(PRIMARY, breaker=BreakerPolicy(failure_threshold=2))
    world.script("primary", *[unavailable() for _ in range(4)])
    completion = world.completion(target(touchy), target(FALLBACK))
    await completion.obtain()
    assert (world.primary.calls, world.sleeps, world.fallback.called_at) == (2, [0.5], [0.5])
    assert completion.fallbacks[0].reason == "server error, and the breaker of primary has opened"


async def test_retries_stop_when_others_open_the_breaker_during_the_wait(world: World) -> None:
    world.script("primary", unavailable())
    completion = world.completion()
    obtaining = asyncio.create_task(completion.obtain())
    await asyncio.sleep(0.1)
    await world.open_breaker_of_others()
    await obtaining
    assert (world.primary.calls, world.fallback.called_at) == (1, [0.5])


async def test_with_every_breaker_open_the_request_fails_at_once_with_the_next_probe_time(world: World) -> None:
    await world.open_breaker(PRIMARY)
    await asyncio.sleep(20)
    await world.open_breaker(FALLBACK)
    began = world.time()
    with pytest.raises(BreakerOpen) as caught:
        await world.completion().obtain()
    assert (caught.value.status, caught.value.retry_after_seconds) == (503, 40.0)
    assert (world.time() - began, world.primary.calls, world.fallback.calls) == (0.0, 0, 0)


async def test_with_every_breaker_held_open_by_operations_there_is_no_probe_to_wait_for(world: World) -> None:
    held = replace(PRIMARY, forced_breaker="open")
    with pytest.raises(BreakerOpen) as caught:
        await world.completion(target(held)).obtain()
    assert caught.value.retry_after_seconds is None


async def test_five_failing_requests_open_the_breaker_and_the_sixth_is_not_sent(world: World) -> None:
    world.script("primary", *[unavailable() for _ in range(9)])
    targets = target(PRIMARY, retry=NO_RETRIES), target(FALLBACK)
    for _ in range(7):
        await world.completion(*targets).obtain()
    assert (world.primary.calls, world.fallback.calls) == (5, 7)


async def test_after_the_cool_down_one_request_probes_while_the_others_use_the_fallback(world: World) -> None:
    await world.open_breaker()
    await asyncio.sleep(60)
    world.script("primary", [Wait(3), ANSWER])
    await asyncio.gather(*(world.completion().obtain() for _ in range(20)))
    assert (world.primary.calls, world.fallback.calls) == (1, 19)
    assert world.state() is BreakerState.CLOSED


async def test_a_failed_probe_opens_again_and_its_request_still_gets_its_answer(world: World) -> None:
    await world.open_breaker()
    await asyncio.sleep(60)
    world.script("primary", unavailable())
    completion = world.completion()
    assert await completion.obtain() is ANSWER
    assert (world.state(), world.primary.calls, world.sleeps) == (BreakerState.OPEN, 1, [])
    assert completion.attempts[0].probe


async def test_a_slow_target_keeps_its_probe_for_its_own_time_out(world: World) -> None:
    """A second probe beside a living one would break "exactly one"."""
    slow = target(PRIMARY, timeouts=Timeouts(attempt_seconds=120))
    await world.open_breaker()
    await asyncio.sleep(60)
    world.script("primary", [Wait(110), ANSWER])
    probing = asyncio.create_task(world.completion(slow, deadline_seconds=300).obtain())
    await asyncio.sleep(100)
    await world.completion(slow, target(FALLBACK)).obtain()
    assert world.primary.calls == 1
    assert await probing is ANSWER
    assert world.state() is BreakerState.CLOSED


async def test_other_4xx_prove_that_the_provider_is_alive(world: World) -> None:
    for _ in range(4):
        world.script("primary", unavailable())
        await world.completion(target(PRIMARY, retry=NO_RETRIES), target(FALLBACK)).obtain()
    world.script("primary", refused(FailureKind.MODEL_NOT_FOUND, 404))
    await world.completion().obtain()
    assert world.breakers.reading(PRIMARY).consecutive_failures == 0


# Targets that can't be asked -----------------------------------------------------------------------------------------


async def test_a_target_whose_wire_cannot_say_the_request_is_skipped(world: World) -> None:
    world.script("primary", failure(FailureKind.UNTRANSLATABLE, retryable=False, counts_against_breaker=False))
    completion = world.completion()
    assert await completion.obtain() is ANSWER
    assert outcomes(completion)[0] == ("primary", AttemptOutcome.SKIPPED)
    assert not completion.attempts[0].sent
    assert world.breakers.reading(PRIMARY).failure_rate == 0.0


async def test_a_request_that_no_target_can_say_is_a_400_that_names_the_field(world: World) -> None:
    world.script("primary", failure(FailureKind.UNTRANSLATABLE, retryable=False, param="logit_bias"))
    with pytest.raises(InvalidRequest) as caught:
        await world.completion(target(PRIMARY)).obtain()
    assert caught.value.param == "logit_bias"


async def test_a_request_that_makes_no_sense_on_any_wire_was_never_sent(world: World) -> None:
    world.script("primary", InvalidRequest("messages must be a list", param="messages"))
    completion = world.completion()
    with pytest.raises(InvalidRequest):
        await completion.obtain()
    (attempt,) = completion.attempts
    assert (attempt.outcome, attempt.sent, attempt.may_be_billed) == (AttemptOutcome.SKIPPED, False, False)
    assert attempt.error is not None
    assert attempt.error.kind is FailureKind.INVALID_REQUEST


async def test_a_crash_of_ours_is_neither_the_providers_fault_nor_a_departed_client(world: World) -> None:
    world.script("primary", RuntimeError("bug"))
    completion = world.completion()
    await completion.obtain()
    assert outcomes(completion) == [("primary", AttemptOutcome.FAILED), ("fallback", AttemptOutcome.SUCCEEDED)]
    assert world.breakers.reading(PRIMARY).consecutive_failures == 0
    assert world.engine.gate(PRIMARY).in_flight == 0


# The retry budget ----------------------------------------------------------------------------------------------------


async def test_without_retry_budget_the_next_target_is_asked_at_once(world: World) -> None:
    frugal = replace(PATIENT, retry_budget=RetryBudget(percent=0, floor_per_second=0))
    world.script("primary", unavailable())
    completion = world.completion(target(frugal), target(FALLBACK))
    await completion.obtain()
    assert (world.primary.calls, world.fallback.called_at) == (1, [0.0])
    assert completion.fallbacks[0].reason == "server error: the provider's retry budget is spent"


async def test_an_outage_cannot_multiply_requests_beyond_the_budget(world: World) -> None:
    frugal = replace(PATIENT, retry_budget=RetryBudget(percent=20, floor_per_second=0))
    world.script("primary", *[unavailable() for _ in range(1000)])
    await asyncio.gather(*(world.completion(target(frugal), target(FALLBACK)).obtain() for _ in range(100)))
    assert 100 <= world.primary.calls <= 120


# Clients that leave --------------------------------------------------------------------------------------------------


async def test_a_client_that_leaves_cancels_the_attempt_and_gives_its_place_back(world: World) -> None:
    world.script("primary", HANG)
    completion = world.completion()
    obtaining = asyncio.create_task(completion.obtain())
    await asyncio.sleep(1)
    obtaining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await obtaining
    (attempt,) = completion.attempts
    assert (attempt.outcome, attempt.may_be_billed, attempt.latency_ms) == (AttemptOutcome.CANCELLED, True, 1000)
    assert (world.primary.under_way, world.engine.gate(PRIMARY).in_flight) == (0, 0)
    assert world.breakers.reading(PRIMARY).failure_rate == 0.0


async def test_a_client_that_leaves_gives_its_probe_back(world: World) -> None:
    await world.open_breaker()
    await asyncio.sleep(60)
    world.script("primary", HANG, ANSWER)
    obtaining = asyncio.create_task(world.completion().obtain())
    await asyncio.sleep(1)
    obtaining.cancel()
    await asyncio.gather(obtaining, return_exceptions=True)
    completion = world.completion()
    await completion.obtain()
    assert (completion.attempts[0].probe, world.state()) == (True, BreakerState.CLOSED)


async def test_a_client_that_leaves_during_a_wait_starts_nothing_more(world: World) -> None:
    world.script("primary", unavailable())
    completion = world.completion()
    obtaining = asyncio.create_task(completion.obtain())
    await asyncio.sleep(0.1)
    obtaining.cancel()
    await asyncio.gather(obtaining, return_exceptions=True)
    await asyncio.sleep(10)
    assert (world.primary.calls, outcomes(completion)) == (1, [("primary", AttemptOutcome.FAILED)])


# A full gate on the way ----------------------------------------------------------------------------------------------


async def test_a_full_queue_sends_the_request_to_the_next_target(world: World) -> None:
    narrow = provider("primary", max_in_flight=1, max_queued=0)
    world.script("primary", HANG)
    first = asyncio.create_task(world.completion(target(narrow)).obtain())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    completion = world.completion(target(narrow), target(FALLBACK))
    await completion.obtain()
    assert (outcomes(completion)[0], completion.attempts[0].sent) == (("primary", AttemptOutcome.SKIPPED), False)
    assert (world.primary.calls, world.fallback.calls) == (1, 1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_a_queue_full_everywhere_is_told_as_overload(world: World) -> None:
    closed = provider("primary", max_in_flight=0, max_queued=0)
    with pytest.raises(GatewayError) as caught:
        await world.completion(target(closed)).obtain()
    assert (caught.value.status, caught.value.code, caught.value.retry_after_seconds) == (429, "overloaded", 1)
