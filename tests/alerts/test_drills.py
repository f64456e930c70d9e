"""Breakers of fire drills: nobody is woken unless the drill asks for it, and then it says drill."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.alerts.breakers import breaker_alerts_derive
from gateway.models import Alert, AlertDelivery, Drill, Provider
from tests.alerts.conftest import NOW, MakeChannel, MakeTransition


@pytest.fixture
def drill(db: None) -> Drill:
    provider = Provider.objects.create(name="openai", kind="openai", base_url="http://openai.invalid")
    return Drill.objects.create(
        provider=provider, fault="503", share_percent=10, starts_at=NOW, ends_at=NOW + timedelta(minutes=5)
    )


def drilled(transition: MakeTransition, change: str, drill: Drill) -> None:
    row = transition(change)
    row.drill_id = drill.pk
    row.save()


def test_a_drills_breaker_opens_no_alert(transition: MakeTransition, drill: Drill) -> None:
    drilled(transition, "closed>open", drill)
    breaker_alerts_derive(now=NOW)
    assert not Alert.objects.exists()


def test_a_drill_that_asks_for_alerts_gets_one_that_says_drill(
    transition: MakeTransition, drill: Drill, channel: MakeChannel
) -> None:
    channel("json://127.0.0.1:9/")
    Drill.objects.update(alerts=True)
    drilled(transition, "closed>open", drill)
    breaker_alerts_derive(now=NOW)
    assert Alert.objects.get().message.startswith(f"Fire drill {drill.pk}, no real outage.")
    assert AlertDelivery.objects.get().title == f"breaker_opened: openai (drill {drill.pk})"


def test_the_real_breaker_alerts_beside_the_drills(transition: MakeTransition, drill: Drill) -> None:
    Drill.objects.update(alerts=True)
    drilled(transition, "closed>open", drill)
    transition("closed>open", seconds=1)
    breaker_alerts_derive(now=NOW)
    assert set(Alert.objects.values_list("subject", flat=True)) == {"openai", f"openai (drill {drill.pk})"}


def test_the_end_of_the_drill_closes_its_alert(transition: MakeTransition, drill: Drill) -> None:
    Drill.objects.update(alerts=True)
    drilled(transition, "closed>open", drill)
    breaker_alerts_derive(now=NOW)
    over = NOW + timedelta(minutes=6)
    breaker_alerts_derive(now=over)
    assert Alert.objects.get().closed_at == over
