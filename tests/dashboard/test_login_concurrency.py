"""Passwords tried at the same time, on a database whose writers really work side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.db.utils import ConnectionHandler
from django.test import Client
from django.utils import timezone

from gateway.models import LoginFailures
from gateway.services.login_throttle import (
    ATTEMPTS_PER_ACCOUNT_AND_ADDRESS,
    ATTEMPTS_PER_ADDRESS,
    LoginAttempt,
    LoginThrottled,
    login_attempt_count,
)
from tests.pages_database import in_use

pytestmark = pytest.mark.postgres
THREADS = 12
ADDRESS = "192.0.2.1"


@pytest.fixture
def postgres(postgres_pages: ConnectionHandler, back_office: None) -> Iterator[ConnectionHandler]:
    """Without attempts or people, before and after."""
    with in_use(postgres_pages):
        yield postgres_pages
        LoginFailures.objects.all().delete()
        User.objects.all().delete()


def at_once(handler: ConnectionHandler, *acts: Callable[[], bool]) -> list[bool]:
    """What each act says, when all of them begin in the same moment on a connection of their own."""
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], bool]) -> bool:
        with in_use(handler):
            try:
                handler["default"].ensure_connection()
                barrier.wait()
                return act()
            finally:
                handler["default"].close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def let_in(*attempts: LoginAttempt) -> int:
    """How many of them, tried one after the other, had their passwords looked at."""
    looked_at = 0
    for attempt in attempts:
        try:
            login_attempt_count(attempt, now=timezone.now())
        except LoginThrottled:
            continue
        looked_at += 1
    return looked_at


def counted() -> list[int]:
    return sorted(LoginFailures.objects.values_list("attempts", flat=True))


@pytest.mark.parametrize("tries", range(2, ATTEMPTS_PER_ACCOUNT_AND_ADDRESS + 1))
def test_wrong_passwords_tried_at_once_count_as_many(postgres: ConnectionHandler, tries: int) -> None:
    looked_at = at_once(postgres, *[lambda: bool(let_in(LoginAttempt("jane", ADDRESS)))] * tries)

    assert looked_at == [True] * tries
    assert counted() == [tries, tries]


def test_no_more_passwords_are_looked_at_however_many_are_tried_at_once(
    postgres: ConnectionHandler, client: Client
) -> None:
    User.objects.create_superuser("jane", password="the-right-one")

    def looked_at() -> bool:
        page = Client().post("/admin/login/", {"username": "jane", "password": "a-wrong-one"}).content.decode()
        return "correct username and password" in page

    assert sum(at_once(postgres, *[looked_at] * THREADS)) == ATTEMPTS_PER_ACCOUNT_AND_ADDRESS
    assert counted() == [ATTEMPTS_PER_ACCOUNT_AND_ADDRESS] * 2


def test_an_address_that_tries_many_accounts_at_once_gets_no_more_than_its_limit(postgres: ConnectionHandler) -> None:
    total: list[int] = []

    def several(thread: int) -> bool:
        total.append(let_in(*(LoginAttempt(f"user{thread}-{number}", ADDRESS) for number in range(5))))
        return True

    at_once(postgres, *[lambda thread=thread: several(thread) for thread in range(THREADS)])

    assert sum(total) == ATTEMPTS_PER_ADDRESS
    assert counted()[-1] == ATTEMPTS_PER_ADDRESS
