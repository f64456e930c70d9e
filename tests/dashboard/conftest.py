"""The back office with its own sidebar, and people who use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import time_machine
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from gateway.dashboard.sessions import STARTED, USED
from tests.dashboard.recount import NOW, write_awkward_rows
from tests.pages_database import in_use

admin.autodiscover()  # some tests are made from what is registered


@pytest.fixture
def back_office(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def operator(back_office: None, db: None) -> User:
    return User.objects.create_superuser("operator")


@pytest.fixture
def browser_of_operator(operator: User, client: Client) -> Client:
    """A test client, logged in and just used, so that pages don't count the note of it among their queries."""
    client.force_login(operator)
    now = timezone.now().timestamp()
    session = client.session
    session.update({STARTED: now, USED: now})
    session.save()
    return client


@pytest.fixture(scope="module")
def awkward_rows(
    request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """Rows that are awkward to count, once per module: in SQLite, or where `recount.both_databases` says."""
    on_postgres = getattr(request, "param", "sqlite") == "postgres"
    with ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())
        if on_postgres:
            stack.enter_context(in_use(request.getfixturevalue("postgres_pages")))
        with transaction.atomic():
            write_awkward_rows()
            User.objects.create_superuser("recounter")
            yield
            transaction.set_rollback(True)


@pytest.fixture
def awkward(awkward_rows: None, db: None, client: Client) -> Iterator[Client]:
    """A browser at `recount.NOW` in front of them; what a test writes besides is gone after it."""
    with time_machine.travel(NOW, tick=False):
        client.force_login(User.objects.get(username="recounter"))
        yield client
