"""The back office with its own sidebar, and people who use it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from gateway.dashboard.sessions import STARTED, USED


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
