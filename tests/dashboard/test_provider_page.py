"""The page of one provider: each number from its rows, each act through its service."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from gateway.models import BreakerTransition, HealthProbe, Provider
from gateway.selectors import provider_page
from gateway.selectors.provider_page import breaker_timeline, last_failure, provider_traffic
from gateway.services.breakers import breaker_force_open
from tests.selectors.rows import NOON, add_attempt, add_completion, add_provider, open_breaker

pytestmark = pytest.mark.django_db

PAGE = "/providers/openai/"


@pytest.fixture
def openai(db: None) -> Provider:
    return add_provider("openai", base_url="http://127.0.0.1:1/v1")


def moved(minutes: int, before: str, after: str, cause: str = "because") -> None:
    at = NOON - timedelta(minutes=minutes)
    BreakerTransition.objects.create(provider="openai", at=at, from_state=before, to_state=after, cause=cause)


def act(client: Client, action: str, **values: str) -> str:
    """What the page says after it."""
    response = client.post(f"{PAGE}act/", {"action": action, **values}, follow=True)
    return " ".join(str(message) for message in response.context["messages"])


def test_it_shows_state_countdown_threshold_and_last_error(browser_of_operator: Client, openai: Provider) -> None:
    open_breaker("openai")
    body = browser_of_operator.get(PAGE).content.decode()
    for told in ("openai: paused", "data-countdown", "5 of 5", "83.4 %", "The server is overloaded."):
        assert told in body


def test_a_provider_that_never_failed_is_shown_whole(browser_of_operator: Client, openai: Provider) -> None:
    body = browser_of_operator.get(PAGE).content.decode()
    for told in ("openai: working", "No failed attempt in 30 days.", "No schedule is configured"):
        assert told in body


def test_the_last_error_links_to_its_request(browser_of_operator: Client, openai: Provider) -> None:
    completion = add_completion("req_9", at=timezone.now() - timedelta(minutes=1))
    add_attempt(completion, 1, outcome="failed", failure="server_error", status=503, message="overloaded <b>")
    body = browser_of_operator.get(PAGE).content.decode()
    assert 'href="/completions/req_9/"' in body
    assert "overloaded &lt;b&gt;" in body


def test_an_unknown_provider_is_a_404(browser_of_operator: Client) -> None:
    assert browser_of_operator.get("/providers/nobody/").status_code == 404


@pytest.mark.parametrize("address", [PAGE, f"{PAGE}live/"])
def test_strangers_are_asked_to_log_in(client: Client, openai: Provider, address: str) -> None:
    assert client.get(address).status_code == 302


def test_the_timeline_covers_the_day_without_a_gap(db: None) -> None:
    moved(2000, "closed", "open")
    moved(60, "open", "half_open")
    moved(59, "half_open", "closed", "the probe succeeded")
    bands = breaker_timeline(provider="openai", now=NOON, hours=24)
    assert [(band.state, band.cause) for band in bands] == [
        ("open", ""),
        ("half_open", "because"),
        ("closed", "the probe succeeded"),
    ]
    assert [band.end for band in bands] == [*(band.start for band in bands[1:]), NOON]
    assert bands[0].start == NOON - timedelta(hours=24)


def test_a_day_without_changes_has_the_state_of_the_last_one_before(db: None) -> None:
    moved(2000, "closed", "open")
    assert [band.state for band in breaker_timeline(provider="openai", now=NOON, hours=24)] == ["open"]


def test_traffic_counts_what_was_sent_and_has_ended(db: None) -> None:
    for index in range(100):
        completion = add_completion(f"r{index}", at=NOON - timedelta(minutes=index + 1))
        outcome = ("failed", "skipped", "cancelled")[index % 10] if index % 10 < 3 else "succeeded"
        add_attempt(completion, 1, outcome=outcome, latency_ms=index)
    hour, day = provider_traffic(provider="openai", now=NOON, hours=(1, 24))
    assert (hour.attempts, hour.failed, hour.whole) == (48, 6, True)
    assert (day.attempts, day.failed, day.error_share) == (80, 10, 0.125)
    assert (day.p50_ms, day.p95_ms) == (49, 96)


def test_traffic_looks_through_a_bounded_number_of_attempts_and_says_so(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_page, "ATTEMPTS_SIFTED", 8)
    for minutes in range(20, 0, -1):
        provider = "openai" if minutes % 2 else "anthropic"
        completion = add_completion(f"r{minutes}", at=NOON - timedelta(minutes=minutes), provider=provider)
        add_attempt(completion, 1)
    (hour,) = provider_traffic(provider="openai", now=NOON, hours=(1,))
    assert (hour.attempts, hour.whole) == (4, False)


def test_the_last_failure_is_found_among_failures_alone(
    db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1) as captured:
        last_failure(provider="openai", now=NOON)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {captured[0]['sql']}")
        assert "attempt_failed" in str(cursor.fetchall())


def test_without_traffic_nothing_is_judged(db: None) -> None:
    (hour,) = provider_traffic(provider="openai", now=NOON, hours=(1,))
    assert (hour.attempts, hour.error_share, hour.p50_ms) == (0, None, None)


def test_an_order_is_given_with_reason_and_confirmation(browser_of_operator: Client, openai: Provider) -> None:
    told = act(browser_of_operator, "force_open", reason="maintenance", confirmed="yes")
    openai.refresh_from_db()
    assert told.startswith("The breaker of openai is held open")
    assert openai.forced_breaker == "open"
    assert BreakerTransition.objects.get().cause == "forced open by operator: maintenance"


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"action": "force_open", "confirmed": "yes"}, "say why"),
        ({"action": "force_open", "reason": "x" * 301, "confirmed": "yes"}, "say why"),
        ({"action": "force_open", "reason": "x"}, "tick the box"),
        ({"action": "explode", "reason": "x", "confirmed": "yes"}, "choose one of force_open"),
    ],
)
def test_an_order_that_lacks_something_changes_nothing_and_says_what(
    browser_of_operator: Client, openai: Provider, values: dict[str, str], problem: str
) -> None:
    assert problem in act(browser_of_operator, **values)
    openai.refresh_from_db()
    assert openai.forced_breaker is None


def test_a_reset_where_no_breakers_live_says_so(browser_of_operator: Client, openai: Provider) -> None:
    assert "Nothing was changed" in act(browser_of_operator, "reset", reason="x", confirmed="yes")


def test_test_now_says_in_words_what_happened(browser_of_operator: Client, openai: Provider) -> None:
    assert "openai: Connection refused" in act(browser_of_operator, "test")
    assert HealthProbe.objects.get().actor == "operator"
    assert "Connection refused" in browser_of_operator.get(PAGE).content.decode()


def test_who_may_only_look_finds_no_buttons_and_may_not_post(client: Client, openai: Provider) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_provider"))
    client.force_login(viewer)
    assert "Force open" not in client.get(PAGE).content.decode()
    assert client.post(f"{PAGE}act/", {"action": "test"}).status_code == 403


def test_acts_need_the_csrf_token(openai: Provider, operator: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator)
    assert client.post(f"{PAGE}act/", {"action": "test"}).status_code == 403
    assert client.get(f"{PAGE}act/").status_code == 405


def test_a_provider_held_closed_that_fails_looks_unhealthy(browser_of_operator: Client, openai: Provider) -> None:
    Provider.objects.update(forced_breaker="closed", forced_breaker_reason="no other target")
    open_breaker("openai", state="closed", opened_at=None, next_probe_at=None)
    for address in (PAGE, "/"):
        body = browser_of_operator.get(address).content.decode()
        assert "Failing" in body
        assert "no other target" in body


def test_since_counts_from_the_order(browser_of_operator: Client, openai: Provider) -> None:
    breaker_force_open(provider=openai, reason="x", actor="ada")
    since = browser_of_operator.get(PAGE).context["since"]
    assert since == BreakerTransition.objects.get().at


def test_every_link_leads_to_rows(browser_of_operator: Client, openai: Provider) -> None:
    completion = add_completion("req_9", at=timezone.now() - timedelta(minutes=1))
    add_attempt(completion, 1, outcome="failed", failure="server_error", status=503, message="overloaded")
    act(browser_of_operator, "test")
    body = browser_of_operator.get(f"{PAGE}live/").content.decode()
    links = [html.unescape(link) for link in re.findall(r'href="([^"]+)"', body)]
    assert len(links) == 7
    assert [browser_of_operator.get(link).status_code for link in links] == [200] * 7
