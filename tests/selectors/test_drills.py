"""A drill's report, from rows."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.models import BreakerTransition, Drill, Provider
from gateway.selectors.drills import FEWEST_ANSWERS, drill_list, drill_report, drills_ended, drills_running
from gateway.selectors.objectives import service_levels
from gateway.services.rollups import rollups_refresh
from tests.selectors.rows import NOON, add_attempt, add_completion, add_fallback

NOW = NOON + timedelta(minutes=10)


def add_drill(**values: Any) -> Drill:
    provider, _ = Provider.objects.get_or_create(name="openai", kind="openai", base_url="http://openai.invalid")
    plain = {"fault": "503", "share_percent": 50, "starts_at": NOON, "ends_at": NOON + timedelta(minutes=5)}
    return Drill.objects.create(provider=provider, **plain | values)


def touch(drill: Drill, request_id: str, *, seconds: float = 1, **values: Any) -> None:
    """A completion that the drill broke once and that then fell back."""
    row = add_completion(
        request_id, at=NOON + timedelta(seconds=seconds), drill_id=drill.pk, fell_back=True, route_id=1, **values
    )
    add_attempt(row, 1, drill_id=drill.pk, fault="503", outcome="failed")
    add_fallback(row, extra_cost_usd=Decimal("0.25"))


@pytest.fixture
def drill(db: None) -> Drill:
    return add_drill()


def report(drill: Drill) -> Any:
    return drill_report(drill_id=drill.pk, now=NOW)


def test_it_counts_who_was_rescued_and_who_was_not(drill: Drill) -> None:
    for number in range(3):
        touch(drill, f"req_{number}")
    touch(drill, "req_failed", status="failed", http_status=503)
    told = report(drill)
    assert (told.affected, told.answered, told.rescued, told.failed) == (4, 3, 3, 1)
    assert told.rescued_percent == 75


def test_it_adds_up_faults_and_extra_cost(drill: Drill) -> None:
    touch(drill, "req_1")
    touch(drill, "req_2")
    assert report(drill).faults == (("503", 2),)
    assert report(drill).extra_usd == Decimal("0.5")


def test_what_the_drills_breaker_spared_is_no_injection(drill: Drill) -> None:
    row = add_completion("req_1", drill_id=drill.pk)
    add_attempt(row, 1, drill_id=drill.pk, fault="", outcome="skipped")
    assert (report(drill).held_back, report(drill).faults) == (1, ())


def test_added_latency_compares_with_what_ran_undrilled_on_the_same_route(drill: Drill) -> None:
    for number in range(FEWEST_ANSWERS):
        touch(drill, f"req_d{number}", latency_ms=3000)
        add_completion(f"req_u{number}", at=NOON, route_id=1, latency_ms=1000 + number)
        add_completion(f"req_o{number}", at=NOON, route_id=2, latency_ms=9000)
        add_completion(f"req_l{number}", at=NOW, route_id=1, latency_ms=9000)
    latency = report(drill).latency
    assert latency.mean_ms == 3000 - (1000 + (FEWEST_ANSWERS - 1) / 2)
    assert latency.p95_ms == 3000 - (1000 + FEWEST_ANSWERS - 2)


def test_too_few_answers_say_nothing_about_latency(drill: Drill) -> None:
    touch(drill, "req_1")
    latency = report(drill).latency
    assert (latency.enough, latency.mean_ms, latency.p95_ms) == (False, None, None)


def test_the_timeline_is_the_drills_own_breaker(drill: Drill) -> None:
    change = {"provider": "openai", "from_state": "closed", "to_state": "open", "cause": "5 consecutive failures"}
    BreakerTransition.objects.create(at=NOON, drill_id=drill.pk, **change)
    BreakerTransition.objects.create(at=NOON, **change)
    assert len(report(drill).transitions) == 1


def test_running_drills_stand_first_then_the_newest(drill: Drill) -> None:
    add_drill(starts_at=NOON - timedelta(hours=2), ends_at=NOON - timedelta(hours=1), fault="429")
    running = add_drill(starts_at=NOON - timedelta(minutes=5), ends_at=NOW + timedelta(minutes=5), fault="timeout")
    assert [line.fault for line in drill_list(now=NOW, limit=10)] == ["timeout", "503", "429"]
    assert [line.id for line in drills_running(now=NOW)] == [running.pk]


@pytest.mark.parametrize(("stopped_after", "ended_after"), [(None, 300), (60, 60)])
def test_what_came_to_its_end_is_found_by_the_end(db: None, stopped_after: int | None, ended_after: int) -> None:
    stopped_at = None if stopped_after is None else NOON + timedelta(seconds=stopped_after)
    add_drill(stopped_at=stopped_at)
    end = NOON + timedelta(seconds=ended_after)
    (line,) = drills_ended(after=end - timedelta(seconds=1), until=end)
    assert line.ended_at == end
    assert drills_ended(after=end, until=NOW) == ()


def test_objectives_leave_out_what_a_drill_touched(drill: Drill) -> None:
    touch(drill, "req_failed", status="failed", http_status=503)
    add_completion("req_fine", at=NOON)
    levels = service_levels(now=NOW)
    assert (levels.availability_percent.last_24h.value, levels.availability_percent.last_24h.counted) == (100, 1)
    assert levels.fallback_success_percent.last_24h.counted == 0


def test_objectives_leave_drills_out_of_what_was_added_up_too(drill: Drill) -> None:
    touch(drill, "req_failed", status="failed", http_status=503)
    add_completion("req_fine", at=NOON)
    later = NOON + timedelta(hours=3)
    rollups_refresh(now=later)
    levels = service_levels(now=later)
    assert (levels.availability_percent.last_24h.value, levels.availability_percent.last_24h.counted) == (100, 1)
    assert levels.fallback_success_percent.last_24h.counted == 0
