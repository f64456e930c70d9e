"""Incidents that are over since long go; what keeps something from being told twice stays."""

from __future__ import annotations

from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps

from gateway.alerts.retention import incidents_prune
from gateway.alerts.sweep import alerts_derive
from gateway.models import Alert, AlertChannel, AlertDelivery, Budget, BudgetWindow, Organisation
from tests.alerts.conftest import NOW, MakeChannel, MakeTransition

pytestmark = pytest.mark.django_db

MIGRATION: Any = import_module("gateway.migrations.0022_channels_that_hear_all")

LONG_AGO = NOW - timedelta(days=100)


@pytest.fixture(autouse=True)
def sixty_days(db: None) -> None:
    Organisation.objects.create(completions_days=60)


def incident(at: datetime, *, closed: bool = True, **values: Any) -> Alert:
    values = {"kind": "breaker_opened", "subject": "openai", "message": "It broke.", "opened_by": str(at), **values}
    return Alert.objects.create(opened_at=at, closed_at=at + timedelta(minutes=5) if closed else None, **values)


def test_an_old_incident_goes_with_its_messages() -> None:
    alert = incident(LONG_AGO)
    AlertDelivery.objects.create(
        alert=alert, event="breaker_opened", channel_id=1, channel_name="ops", title="t", body="b", next_try_at=LONG_AGO
    )
    assert incidents_prune(now=NOW) == 1
    assert (Alert.objects.count(), AlertDelivery.objects.count()) == (0, 0)


def test_a_recent_one_stays() -> None:
    incident(NOW - timedelta(days=59))
    assert incidents_prune(now=NOW) == 0


def test_an_open_one_stays_however_old() -> None:
    incident(LONG_AGO, closed=False)
    assert incidents_prune(now=NOW) == 0


def test_one_that_closed_lately_stays_however_long_it_was_open() -> None:
    alert = incident(LONG_AGO)
    Alert.objects.filter(pk=alert.pk).update(closed_at=NOW - timedelta(days=1))
    assert incidents_prune(now=NOW) == 0


def test_nothing_goes_where_nothing_is_ever_deleted() -> None:
    Organisation.objects.update(completions_days=None)
    incident(LONG_AGO)
    assert incidents_prune(now=NOW) == 0


def test_the_least_time_is_forty_days() -> None:
    Organisation.objects.update(completions_days=1)
    incident(NOW - timedelta(days=39))
    assert incidents_prune(now=NOW) == 0


def test_more_than_one_transaction_takes_go_in_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.alerts.retention.INCIDENTS_PER_TRANSACTION", 2)
    for minute in range(5):
        incident(LONG_AGO + timedelta(minutes=minute))
    assert incidents_prune(now=NOW) == 5


def test_the_same_breakers_next_opening_is_told_after_the_prune(
    transition: MakeTransition, channel: MakeChannel
) -> None:
    channel("json://127.0.0.1:9/")
    transition("closed>open")
    transition("open>closed", seconds=60)
    alerts_derive(now=NOW + timedelta(minutes=2))
    incidents_prune(now=NOW + timedelta(days=100))
    assert not Alert.objects.exists()
    alerts_derive(now=NOW + timedelta(minutes=3))
    assert not Alert.objects.exists(), "what was told is not told again"
    transition("closed>open", seconds=200)
    alerts_derive(now=NOW + timedelta(minutes=4))
    assert AlertDelivery.objects.count() == 1


@pytest.mark.parametrize(("window", "told"), [("total", 1), ("day", 0)])
def test_a_budget_that_never_resets_is_not_told_again(window: str, told: int) -> None:
    budget = Budget.objects.create(name="cap", scope="global", window=window, limit_usd=10, alert_at_percent=[50])
    epoch = 0 if window == "total" else int(NOW.replace(hour=0).timestamp())
    spent = BudgetWindow.objects.create(budget_id=budget.pk, subject="", window_epoch=epoch, spent_usd=6)
    alerts_derive(now=NOW)
    assert Alert.objects.count() == 1
    later = NOW + timedelta(days=100)
    alerts_derive(now=later)  # closes it
    Alert.objects.filter(closed_at__isnull=True).update(closed_at=NOW + timedelta(days=1))
    incidents_prune(now=later)
    assert Alert.objects.count() == told
    BudgetWindow.objects.filter(pk=spent.pk).update(spent_usd=7)
    alerts_derive(now=later)
    assert Alert.objects.count() == told


@pytest.mark.parametrize(
    ("events", "after"),
    [(sorted(MIGRATION.ALL_BEFORE), ["all"]), (["breaker_opened"], ["breaker_opened"])],
    ids=["all there was", "some"],
)
def test_a_channel_made_before_model_retiring_hears_of_it_if_it_heard_everything(
    events: list[str], after: list[str]
) -> None:
    row = AlertChannel.objects.create(name="ops", events=events, url_encrypted="x")
    MIGRATION.hear_all(apps, None)
    row.refresh_from_db()
    assert row.events == after
