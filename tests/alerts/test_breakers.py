"""A breaker's opening and closing are each told once, whoever looks, however often."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.alerts.breakers import LATE_COMMIT_SECONDS, breaker_alerts_derive
from gateway.models import Alert, AlertCursor, AlertDelivery, BreakerTransition
from tests.alerts.conftest import NOW, MakeChannel, MakeTransition


def events() -> list[str]:
    return list(AlertDelivery.objects.order_by("pk").values_list("event", flat=True))


def test_opening_makes_an_open_alert_that_says_why(transition: MakeTransition) -> None:
    transition("closed>open")
    breaker_alerts_derive(now=NOW)
    alert = Alert.objects.get()
    assert (alert.kind, alert.subject, alert.opened_at, alert.closed_at) == ("breaker_opened", "openai", NOW, None)
    assert alert.message == (
        "The breaker of openai opened: 5 consecutive failures. Requests go to the next target. "
        "Last error: 503 from the provider"
    )


def test_closing_ends_the_alert_at_its_time(transition: MakeTransition) -> None:
    transition("closed>open")
    transition("half_open>closed", seconds=61)
    breaker_alerts_derive(now=NOW)
    assert Alert.objects.get().closed_at == NOW + timedelta(seconds=61)


def test_failed_probe_is_no_second_opening(transition: MakeTransition, channel: MakeChannel) -> None:
    channel("json://127.0.0.1:9/")
    for change in ("closed>open", "open>half_open", "half_open>open", "open>half_open", "half_open>closed"):
        transition(change)
    breaker_alerts_derive(now=NOW)
    assert events() == ["breaker_opened", "breaker_closed"]


def test_deriving_again_changes_nothing(transition: MakeTransition, channel: MakeChannel) -> None:
    channel("json://127.0.0.1:9/")
    transition("closed>open")
    transition("half_open>closed")
    breaker_alerts_derive(now=NOW)
    assert breaker_alerts_derive(now=NOW) == 0
    assert events() == ["breaker_opened", "breaker_closed"]


def test_every_opening_is_an_alert_of_its_own(transition: MakeTransition) -> None:
    for change in ("closed>open", "half_open>closed", "closed>open", "half_open>closed"):
        transition(change)
    breaker_alerts_derive(now=NOW)
    assert Alert.objects.filter(closed_at__isnull=False).count() == 2


def test_opening_reported_by_a_second_process_is_the_same_opening(transition: MakeTransition) -> None:
    transition("closed>open")
    transition("closed>open")
    breaker_alerts_derive(now=NOW)
    assert Alert.objects.count() == 1


def test_providers_do_not_share_an_alert(transition: MakeTransition) -> None:
    transition("closed>open", provider="openai")
    transition("closed>open", provider="anthropic")
    breaker_alerts_derive(now=NOW)
    assert set(Alert.objects.values_list("subject", flat=True)) == {"openai", "anthropic"}


def test_transition_whose_commit_came_late_is_still_told(transition: MakeTransition) -> None:
    late = transition("closed>open", provider="anthropic")
    row = BreakerTransition.objects.get(pk=late.pk)
    late.delete()
    transition("closed>open", provider="openai")
    breaker_alerts_derive(now=NOW)
    row.save(force_insert=True)
    breaker_alerts_derive(now=NOW)
    assert Alert.objects.filter(subject="anthropic").exists()


def test_transition_held_through_a_long_outage_is_told_although_its_commit_came_late(
    transition: MakeTransition,
) -> None:
    late = transition("closed>open", provider="anthropic", seconds=-3_600)
    row = BreakerTransition.objects.get(pk=late.pk)
    late.delete()
    transition("closed>open", provider="openai", seconds=-3_600)
    breaker_alerts_derive(now=NOW)
    row.save(force_insert=True)
    breaker_alerts_derive(now=NOW + timedelta(seconds=LATE_COMMIT_SECONDS))
    assert Alert.objects.filter(subject="anthropic").exists()


def test_cursor_forgets_single_ids_once_they_are_old(transition: MakeTransition) -> None:
    last = [transition("closed>open"), transition("half_open>closed")][-1]
    breaker_alerts_derive(now=NOW)
    breaker_alerts_derive(now=NOW + timedelta(seconds=LATE_COMMIT_SECONDS + 1))
    cursor = AlertCursor.objects.get()
    assert (cursor.position, cursor.seen) == (last.pk, [])


@pytest.mark.parametrize(
    ("wanted", "told"),
    [(("breaker_opened",), ["breaker_opened"]), (("budget_threshold",), []), (("breaker_closed",), ["breaker_closed"])],
)
def test_channel_hears_only_of_what_it_asked_for(
    transition: MakeTransition, channel: MakeChannel, wanted: tuple[str, ...], told: list[str]
) -> None:
    channel("json://127.0.0.1:9/", events=wanted)
    transition("closed>open")
    transition("half_open>closed")
    breaker_alerts_derive(now=NOW)
    assert events() == told
