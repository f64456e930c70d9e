"""The breaker's rules (DESIGN, "Breaker"): tables, single stories, and what must hold in all stories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.engine.breaker import (
    PROBE_GRACE_SECONDS,
    RATE_WINDOW_SECONDS,
    Breaker,
    FailureRate,
    Outcome,
    Permit,
    Refusal,
)
from gateway.engine.configuration import BreakerPolicy
from gateway.engine.words import BreakerState
from tests.engine.scripted import PRIMARY

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
COOLDOWN_SECONDS = PRIMARY.breaker.cooldown_seconds
ATTEMPT_SECONDS = 30.0
PROBE_SECONDS = ATTEMPT_SECONDS + PROBE_GRACE_SECONDS


def admitted(breaker: Breaker, now: float = 0.0) -> Permit:
    admission = breaker.admit(PRIMARY, now, ATTEMPT_SECONDS)
    assert isinstance(admission, Permit)
    return admission


def report(breaker: Breaker, permit: Permit, outcome: Outcome, now: float = 0.0) -> str | None:
    return breaker.report(PRIMARY, permit, outcome, "boom", now)


def play(breaker: Breaker, outcomes: str, now: float = 0.0) -> None:
    """One attempt after the other: S succeeds, F fails, N says nothing."""
    for letter in outcomes:
        outcome = {"S": Outcome.SUCCESS, "F": Outcome.FAILURE, "N": Outcome.NONE}[letter]
        report(breaker, admitted(breaker, now), outcome, now)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    play(breaker, "FFFFF", now)
    assert breaker.state is OPEN
    return breaker


@pytest.mark.parametrize(
    ("outcomes", "state", "consecutive"),
    [
        ("", CLOSED, 0),
        ("F", CLOSED, 1),
        ("FFFF", CLOSED, 4),
        ("FFFFF", OPEN, 5),
        ("FFFFSFFFF", CLOSED, 4),
        ("FFFFSFFFFF", OPEN, 5),
        ("FFFFN", CLOSED, 4),
        ("FNFNFNFNF", OPEN, 5),
        ("SFSFSFSFSFSF", CLOSED, 1),
    ],
)
def test_exactly_five_failures_in_a_row_open_it(outcomes: str, state: BreakerState, consecutive: int) -> None:
    breaker = Breaker()
    play(breaker, outcomes)
    assert (breaker.state, breaker.consecutive_failures) == (state, consecutive)


@pytest.mark.parametrize(
    ("success_began", "consecutive"), [(1.0, 0), (0.0, 5), (-1.0, 5)], ids=["later", "at once", "before"]
)
def test_a_failure_is_stale_once_an_attempt_that_began_later_has_succeeded(
    success_began: float, consecutive: int
) -> None:
    breaker = Breaker()
    silent = [admitted(breaker) for _ in range(5)]
    report(breaker, admitted(breaker, success_began), Outcome.SUCCESS, now=2.0)
    for permit in silent:
        report(breaker, permit, Outcome.FAILURE, now=30.0)
    assert breaker.consecutive_failures == consecutive


def test_stale_failures_are_part_of_the_failure_rate() -> None:
    breaker = Breaker()
    silent = admitted(breaker)
    report(breaker, admitted(breaker, 1.0), Outcome.SUCCESS, now=2.0)
    report(breaker, silent, Outcome.FAILURE, now=30.0)
    assert breaker.rate.value(30.0) == 0.5


def test_a_success_now_and_then_does_not_keep_it_closed_where_most_attempts_stay_silent() -> None:
    """Ten attempts a second, nine of them silent for twelve seconds: each time-out is told after a later success."""
    breaker = Breaker()
    outcomes = [(begun + 1, begun, Outcome.SUCCESS) for begun in range(60)]
    outcomes += [(begun + 12, begun, Outcome.FAILURE) for begun in range(60) for _ in range(9)]
    for told, begun, outcome in sorted(outcomes):
        if breaker.state is CLOSED:
            report(breaker, Permit(PRIMARY.name, 0, float(begun)), outcome, float(told))
    assert breaker.state is OPEN


def test_late_time_outs_of_a_provider_that_mostly_answers_do_not_open_it() -> None:
    breaker = Breaker()
    for begun in range(60):
        for _ in range(9):
            report(breaker, Permit(PRIMARY.name, 0, float(begun)), Outcome.SUCCESS, begun + 1.0)
    for _ in range(9):
        report(breaker, Permit(PRIMARY.name, 0, 50.0), Outcome.FAILURE, 62.0)
    assert (breaker.state, breaker.consecutive_failures) == (CLOSED, 0)


def test_a_clock_that_is_set_back_does_not_make_all_failures_stale() -> None:
    breaker = Breaker()
    play(breaker, "S", now=3600.0)
    play(breaker, "F" * 5, now=10.0)
    assert breaker.state is OPEN


@pytest.mark.parametrize("threshold", [1, 2, 10])
def test_the_threshold_is_a_setting(threshold: int) -> None:
    touchy = replace(PRIMARY, breaker=BreakerPolicy(failure_threshold=threshold))
    breaker = Breaker()
    states = []
    for _ in range(threshold):
        permit = breaker.admit(touchy, 0, ATTEMPT_SECONDS)
        assert isinstance(permit, Permit)
        breaker.report(touchy, permit, Outcome.FAILURE, "", 0)
        states.append(breaker.state)
    assert states == [CLOSED] * (threshold - 1) + [OPEN]


def test_the_report_that_opens_it_says_why() -> None:
    breaker = Breaker()
    permits = [admitted(breaker) for _ in range(5)]
    causes = [report(breaker, permit, Outcome.FAILURE) for permit in permits]
    assert causes == [None, None, None, None, "5 consecutive failures"]


@pytest.mark.parametrize(("elapsed_seconds", "admits"), [(0, False), (59.999, False), (60, True), (3600, True)])
def test_open_refuses_until_the_cool_down_has_passed(elapsed_seconds: float, admits: bool) -> None:
    breaker = opened(now=1000.0)
    admission = breaker.admit(PRIMARY, 1000.0 + elapsed_seconds, ATTEMPT_SECONDS)
    assert isinstance(admission, Permit) is admits
    if isinstance(admission, Refusal):
        assert admission.next_probe_at == 1060.0


def test_half_open_lets_exactly_one_probe_through() -> None:
    breaker = opened()
    first = breaker.admit(PRIMARY, 60, ATTEMPT_SECONDS)
    others = [breaker.admit(PRIMARY, 60, ATTEMPT_SECONDS) for _ in range(10)]
    assert isinstance(first, Permit)
    assert first.probe
    assert [type(other) for other in others] == [Refusal] * 10
    assert breaker.state is HALF_OPEN


def test_a_successful_probe_closes_it_and_forgets_the_failures() -> None:
    breaker = opened()
    assert report(breaker, admitted(breaker, 60), Outcome.SUCCESS, 61) == "the probe succeeded"
    assert (breaker.state, breaker.consecutive_failures, breaker.opened_at) == (CLOSED, 0, None)


def test_a_failed_probe_opens_it_for_another_cool_down() -> None:
    breaker = opened()
    assert report(breaker, admitted(breaker, 60), Outcome.FAILURE, 65) == "the probe failed"
    assert (breaker.state, breaker.next_probe_at(PRIMARY.breaker)) == (OPEN, 65 + COOLDOWN_SECONDS)
    assert breaker.consecutive_failures == 6


def test_a_probe_given_back_goes_to_the_next_request() -> None:
    breaker = opened()
    report(breaker, admitted(breaker, 60), Outcome.NONE, 61)
    assert admitted(breaker, 61).probe


def test_a_dead_prober_cannot_wedge_it() -> None:
    breaker = opened()
    admitted(breaker, 60)
    assert isinstance(breaker.admit(PRIMARY, 60 + PROBE_SECONDS - 0.001, ATTEMPT_SECONDS), Refusal)
    assert admitted(breaker, 60 + PROBE_SECONDS).probe


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_prober_believed_dead_changes_nothing_any_more(outcome: Outcome) -> None:
    breaker = opened()
    dead = admitted(breaker, 60)
    living = admitted(breaker, 60 + PROBE_SECONDS)
    assert report(breaker, dead, outcome, 100) is None
    assert breaker.state is HALF_OPEN
    assert report(breaker, living, Outcome.SUCCESS, 101) == "the probe succeeded"


@pytest.mark.parametrize("outcome", list(Outcome))
def test_reports_from_before_it_opened_count_for_the_rate_only(outcome: Outcome) -> None:
    breaker = Breaker()
    late = admitted(breaker)
    play(breaker, "FFFFF")
    assert report(breaker, late, outcome, 1) is None
    assert (breaker.state, breaker.consecutive_failures, breaker.opened_at) == (OPEN, 5, 0.0)


def test_a_failure_from_before_it_closed_does_not_count_towards_the_next_opening() -> None:
    breaker = Breaker()
    late = admitted(breaker)
    play(breaker, "FFFFF")
    report(breaker, admitted(breaker, 60), Outcome.SUCCESS, 60)
    report(breaker, late, Outcome.FAILURE, 61)
    assert breaker.consecutive_failures == 0


def test_a_late_success_does_not_close_an_open_breaker() -> None:
    breaker = Breaker()
    late = admitted(breaker)
    play(breaker, "FFFFF")
    report(breaker, late, Outcome.SUCCESS)
    assert breaker.state is OPEN


def test_forced_open_refuses_even_a_healthy_provider_and_names_no_probe() -> None:
    held = replace(PRIMARY, forced_breaker="open")
    assert Breaker().admit(held, 0, ATTEMPT_SECONDS) == Refusal("primary", None)


def test_forced_closed_admits_all_and_never_opens_but_shows_its_failures() -> None:
    held = replace(PRIMARY, forced_breaker="closed")
    breaker = Breaker()
    for _ in range(10):
        permit = breaker.admit(held, 0, ATTEMPT_SECONDS)
        assert isinstance(permit, Permit)
        assert not permit.probe
        breaker.report(held, permit, Outcome.FAILURE, "boom", 0)
    assert (breaker.state, breaker.consecutive_failures) == (CLOSED, 10)
    assert breaker.reading(held, 0).failure_rate == 1.0


@pytest.mark.parametrize("forced", ["open", "closed"])
def test_a_forced_state_is_what_people_see(forced: str) -> None:
    reading = opened().reading(replace(PRIMARY, forced_breaker=forced), 0)
    assert (reading.state, reading.next_probe_at) == (BreakerState(forced), None)


def test_the_state_from_before_returns_when_operations_let_go() -> None:
    breaker = opened()
    breaker.admit(replace(PRIMARY, forced_breaker="closed"), 10, ATTEMPT_SECONDS)
    assert isinstance(breaker.admit(PRIMARY, 10, ATTEMPT_SECONDS), Refusal)


def test_a_reset_closes_it_and_outdates_all_permits() -> None:
    breaker = opened()
    probe = admitted(breaker, 60)
    breaker.reset()
    assert report(breaker, probe, Outcome.FAILURE, 61) is None
    assert (breaker.state, breaker.consecutive_failures, breaker.last_error) == (CLOSED, 0, "boom")


def test_the_reading_shows_the_last_error_cut_to_a_readable_length() -> None:
    breaker = Breaker()
    breaker.report(PRIMARY, admitted(breaker), Outcome.FAILURE, "x" * 9999, 0)
    assert breaker.reading(PRIMARY, 0).last_error == "x" * 500


# The failure rate ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "now", "rate"),
    [
        ([], 0, 0.0),
        ([(0, True)], 0, 1.0),
        ([(0, True), (1, False), (2, False), (3, False)], 3, 0.25),
        ([(0, True), (30, False)], 59, 0.5),
        ([(0, True), (30, False)], RATE_WINDOW_SECONDS, 0.0),
        ([(0, True), (30, False)], 200, 0.0),
        ([(0, False), (58, True)], 61, 1.0),
    ],
)
def test_the_failure_rate_is_of_the_last_minute(events: Sequence[tuple[float, bool]], now: float, rate: float) -> None:
    window = FailureRate()
    for at, failed in events:
        window.add(at, failed=failed)
    assert window.value(now) == rate


def test_the_rate_window_stays_small_however_many_attempts_pass_through() -> None:
    window = FailureRate()
    for second in range(10_000):
        window.add(float(second), failed=second % 2 == 0)
    assert len(window._buckets) <= 13
    assert window.value(9_999.0) == pytest.approx(0.5, abs=0.02)


# All stories ---------------------------------------------------------------------------------------------------------


class BreakerStories(RuleBasedStateMachine):
    """Any order of admissions, reports, waits, forced states and resets."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = 0.0
        self.provider = PRIMARY
        self.out: list[tuple[Permit, str | None]] = []  # permits under way, and what was forced when they were given
        self.probe_until: dict[int, float] = {}  # generation of a probe -> when it counts as dead

    @rule()
    def ask(self) -> None:
        admission = self.breaker.admit(self.provider, self.now, ATTEMPT_SECONDS)
        if isinstance(admission, Permit):
            self.out.append((admission, self.provider.forced_breaker))
            if admission.probe:
                alive = [until for until in self.probe_until.values() if until > self.now]
                assert alive == [], "a second live probe"
                self.probe_until[admission.generation] = self.now + PROBE_SECONDS
        else:
            assert admission.next_probe_at is None or admission.next_probe_at > self.now

    @precondition(lambda self: self.out)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def end(self, data: st.DataObject, outcome: Outcome) -> None:
        permit, forced = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.breaker.report(replace(PRIMARY, forced_breaker=forced), permit, outcome, "boom", self.now)
        if permit.probe:
            self.probe_until.pop(permit.generation, None)

    @rule(seconds=st.sampled_from([0.0, 1.0, 34.0, 36.0, 59.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(forced=st.sampled_from([None, "open", "closed"]))
    def force(self, forced: str | None) -> None:
        self.provider = replace(PRIMARY, forced_breaker=forced)

    @rule()
    def reset(self) -> None:
        self.breaker.reset()
        self.probe_until.clear()

    @invariant()
    def closed_means_below_the_threshold(self) -> None:
        if self.breaker.state is CLOSED:
            assert self.breaker.consecutive_failures < PRIMARY.breaker.failure_threshold
            assert self.breaker.opened_at is None

    @invariant()
    def not_closed_means_that_somebody_may_probe_one_day(self) -> None:
        if self.breaker.state is not CLOSED:
            next_probe_at = self.breaker.next_probe_at(PRIMARY.breaker)
            assert next_probe_at is not None
            assert next_probe_at <= self.now + max(COOLDOWN_SECONDS, PROBE_SECONDS)


BreakerStories.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_all_stories = BreakerStories.TestCase
