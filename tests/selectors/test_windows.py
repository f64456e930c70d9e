from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.selectors.windows import TimeWindow, window_last_hours, window_last_month, window_this_month, window_today

BERLIN = ZoneInfo("Europe/Berlin")
AUCKLAND = ZoneInfo("Pacific/Auckland")


@pytest.mark.parametrize(
    ("now", "zone", "start"),
    [
        pytest.param("2026-11-22T12:00", ZoneInfo("UTC"), "2026-11-22T00:00", id="UTC"),
        pytest.param("2026-11-21T23:30", BERLIN, "2026-11-21T23:00", id="already tomorrow in Berlin"),
        pytest.param("2026-11-21T22:30", BERLIN, "2026-11-20T23:00", id="not yet tomorrow in Berlin"),
        pytest.param("2026-10-25T12:00", BERLIN, "2026-10-24T22:00", id="the day summer time ends began in it"),
        pytest.param("2026-11-22T12:00", AUCKLAND, "2026-11-22T11:00", id="Auckland's midnight is UTC's late morning"),
    ],
)
def test_today_begins_at_the_zones_midnight(now: str, zone: ZoneInfo, start: str) -> None:
    assert window_today(now=utc(now), zone=zone) == TimeWindow(utc(start), utc(now))


@pytest.mark.parametrize(
    ("now", "zone", "start"),
    [
        pytest.param("2026-11-22T12:00", ZoneInfo("UTC"), "2026-11-01T00:00", id="UTC"),
        pytest.param("2026-11-30T23:30", BERLIN, "2026-11-30T23:00", id="already December in Berlin"),
        pytest.param("2026-04-10T12:00", BERLIN, "2026-03-31T22:00", id="summer time"),
        pytest.param("2026-03-31T12:00", BERLIN, "2026-02-28T23:00", id="summer time that began within the month"),
    ],
)
def test_this_month_begins_at_midnight_on_its_first_in_the_zone(now: str, zone: ZoneInfo, start: str) -> None:
    assert window_this_month(now=utc(now), zone=zone) == TimeWindow(utc(start), utc(now))


def test_last_month_of_january_is_december() -> None:
    window = window_last_month(now=utc("2027-01-31T12:00"), zone=BERLIN)

    assert window == TimeWindow(utc("2026-11-30T23:00"), utc("2026-12-31T23:00"))


def test_the_last_hours_are_whole_but_for_the_current_one() -> None:
    window = window_last_hours(now=utc("2026-11-22T12:34"), hours=3)

    assert window == TimeWindow(utc("2026-11-22T10:00"), utc("2026-11-22T12:34"))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
