"""Logging in: how often one may try, and how long it lasts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from gateway.dashboard.login_form import attempt_of
from gateway.dashboard.sessions import STARTED, USED
from gateway.models import LoginFailures
from gateway.services.login_throttle import (
    ATTEMPTS_PER_ACCOUNT_AND_ADDRESS,
    ATTEMPTS_PER_ADDRESS,
    WINDOW,
    LoginAttempt,
    LoginThrottled,
    login_attempt_count,
    login_attempt_succeeded,
)

pytestmark = pytest.mark.django_db

PASSWORD = "a-long-enough-pass-phrase"
NOW = timezone.now()


def let_in(attempt: LoginAttempt, now: datetime = NOW) -> bool:
    try:
        login_attempt_count(attempt, now=now)
    except LoginThrottled:
        return False
    return True


def log_in(client: Client, password: str, *, name: str = "jane", **headers: str) -> Any:
    return client.post("/admin/login/?next=/", {"username": name, "password": password}, headers=headers)


@pytest.fixture
def jane(back_office: None) -> User:
    return User.objects.create_superuser("jane", password=PASSWORD)


def test_the_right_password_is_refused_after_too_many_wrong_ones_and_the_page_says_when_to_come_back(
    jane: User, client: Client
) -> None:
    for _ in range(ATTEMPTS_PER_ACCOUNT_AND_ADDRESS):
        assert "correct username and password" in log_in(client, "wrong").content.decode()

    page = log_in(client, PASSWORD)

    assert page.status_code == 200
    assert "Too many failed logins from your address. Try again in 15 minutes, at " in page.content.decode()


def test_an_account_that_does_not_exist_is_throttled_alike(client: Client, back_office: None) -> None:
    for _ in range(ATTEMPTS_PER_ACCOUNT_AND_ADDRESS):
        log_in(client, "wrong", name="nobody")

    assert "Too many failed logins" in log_in(client, "wrong", name="nobody").content.decode()


def test_others_and_other_addresses_get_in_meanwhile(jane: User, client: Client) -> None:
    for _ in range(ATTEMPTS_PER_ACCOUNT_AND_ADDRESS):
        log_in(client, "wrong")

    assert let_in(LoginAttempt("jane", "192.0.2.7"))
    assert let_in(LoginAttempt("john", "127.0.0.1"))


def test_a_success_forgets_the_failures(jane: User, client: Client) -> None:
    for _ in range(ATTEMPTS_PER_ACCOUNT_AND_ADDRESS - 1):
        log_in(client, "wrong")
    log_in(client, PASSWORD)

    assert set(LoginFailures.objects.values_list("attempts", flat=True)) == {ATTEMPTS_PER_ACCOUNT_AND_ADDRESS - 1}


def test_the_window_ends() -> None:
    attempt = LoginAttempt("jane", "192.0.2.1")
    counted = [let_in(attempt) for _ in range(ATTEMPTS_PER_ACCOUNT_AND_ADDRESS + 1)]

    assert counted == [True] * ATTEMPTS_PER_ACCOUNT_AND_ADDRESS + [False]
    assert not let_in(attempt, NOW + WINDOW - timedelta(seconds=1))
    assert let_in(attempt, NOW + WINDOW)


def test_one_address_that_tries_every_account_is_refused_at_the_addresses_limit() -> None:
    tried = [let_in(LoginAttempt(f"user{number}", "192.0.2.1")) for number in range(ATTEMPTS_PER_ADDRESS + 1)]

    assert tried == [True] * ATTEMPTS_PER_ADDRESS + [False]


def test_an_address_that_may_be_everybodys_is_not_counted_by_itself() -> None:
    attempts = [LoginAttempt(f"user{number}", "10.0.0.1", one_client=False) for number in range(ATTEMPTS_PER_ADDRESS)]

    assert all(let_in(attempt) for attempt in attempts)
    assert let_in(LoginAttempt("another", "10.0.0.1", one_client=False))


def test_a_refused_attempt_is_not_counted_and_puts_nothing_off() -> None:
    attempt = LoginAttempt("jane", "192.0.2.1")
    for _ in range(20):
        let_in(attempt)

    assert max(LoginFailures.objects.values_list("attempts", flat=True)) == ATTEMPTS_PER_ACCOUNT_AND_ADDRESS


def test_case_makes_no_other_account() -> None:
    for name in ("jane", "JANE", "Jane", "jAne", "jaNe"):
        let_in(LoginAttempt(name, "192.0.2.1"))

    assert not let_in(LoginAttempt("jane", "192.0.2.1"))


def test_a_success_from_an_address_leaves_the_failures_of_others_there() -> None:
    for number in range(3):
        let_in(LoginAttempt(f"user{number}", "192.0.2.1"))
    login_attempt_succeeded(LoginAttempt("user0", "192.0.2.1"))

    assert max(LoginFailures.objects.values_list("attempts", flat=True)) == 2


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address", "one_client"),
    [
        (0, "", "127.0.0.1", True),
        (0, "198.51.100.9", "127.0.0.1", False),
        (1, "198.51.100.9", "198.51.100.9", True),
        (1, "6.6.6.6, 198.51.100.9", "198.51.100.9", True),
        (2, "6.6.6.6, 198.51.100.9, 10.0.0.2", "198.51.100.9", True),
        (2, "198.51.100.9", "127.0.0.1", False),
    ],
)
def test_the_address_is_what_our_outermost_proxy_says(
    rf: Any, settings: Any, proxies: int, forwarded: str, address: str, one_client: bool
) -> None:
    settings.LLMOPS_TRUSTED_PROXIES = proxies
    request = rf.post("/admin/login/", headers={"X-Forwarded-For": forwarded} if forwarded else {})

    assert attempt_of(request, "jane") == LoginAttempt("jane", address, one_client)


@pytest.mark.parametrize(
    ("written", "client"),
    [
        ("203.0.113.9:50112", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:ffff::7]:443", "2001:db8:1:2::/64"),
        ("unix:", "unix:"),
    ],
)
def test_one_client_is_counted_once_however_its_address_is_written(
    rf: Any, settings: Any, written: str, client: str
) -> None:
    settings.LLMOPS_TRUSTED_PROXIES = 1

    assert attempt_of(rf.post("/admin/login/", headers={"X-Forwarded-For": written}), "jane").address == client


def test_logging_in_gives_another_session(jane: User, client: Client) -> None:
    client.session.save()
    before = client.session.session_key
    log_in(client, PASSWORD)

    assert client.session.session_key != before


def moved(client: Client, name: str, back_seconds: float) -> None:
    """As if it had been so long ago."""
    session = client.session
    session[name] = timezone.now().timestamp() - back_seconds
    session.save()


@pytest.mark.parametrize(("name", "back_seconds"), [(USED, 61 * 60), (STARTED, 12 * 3600 + 1)])
def test_a_session_ends_when_unused_and_after_a_day_of_work(
    browser_of_operator: Client, name: str, back_seconds: float
) -> None:
    browser_of_operator.get("/")
    moved(browser_of_operator, name, back_seconds)

    assert browser_of_operator.get("/").status_code == 302


def test_use_keeps_a_session_and_refreshes_of_parts_do_not(browser_of_operator: Client) -> None:
    browser_of_operator.get("/")
    moved(browser_of_operator, USED, 30 * 60)
    used = browser_of_operator.session[USED]
    browser_of_operator.get("/dashboard/recent/", headers={"HX-Request": "true"})
    assert browser_of_operator.session[USED] == used

    browser_of_operator.get("/spend/")
    assert browser_of_operator.session[USED] > used


def test_a_host_that_is_not_answered_to_is_told_with_the_variable_that_lists_them(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["llmops.example.com"]
    reply = Client().get("/admin/login/", HTTP_HOST="elsewhere.test")
    assert reply.status_code == 400
    assert "LLMOPS_ALLOWED_HOSTS" in reply.content.decode()
