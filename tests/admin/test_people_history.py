"""Accounts leave rows of history wherever they are changed: by somebody themselves, and on the command line."""

from __future__ import annotations

import getpass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from gateway.models import ConfigurationChange

pytestmark = pytest.mark.django_db

OLD, NEW = "a-long-enough-pass-phrase", "another-long-pass-phrase"


def newest() -> tuple[str, str, str, str, str, str]:
    row = ConfigurationChange.objects.latest("pk")
    return row.actor, row.action, row.section, row.name, row.before, row.after


@pytest.fixture
def ada(client: Client) -> Client:
    client.force_login(User.objects.create_user("ada", password=OLD, is_staff=True))
    return client


def change_own(client: Client, old: str) -> Any:
    sent = {"old_password": old, "new_password1": NEW, "new_password2": NEW}
    return client.post(reverse("admin:password_change"), sent)


def test_a_change_of_ones_own_password_is_a_row_of_history_without_it(ada: Client) -> None:
    assert change_own(ada, OLD).status_code == 302

    assert newest() == ("ada", "changed", "users", "ada", "", "a new password")
    assert User.objects.get(username="ada").check_password(NEW)


def test_a_password_that_was_not_changed_leaves_no_row(ada: Client) -> None:
    assert change_own(ada, "wrong").status_code == 200

    assert not ConfigurationChange.objects.exists()


def test_who_is_not_logged_in_changes_no_password(client: Client) -> None:
    assert change_own(client, OLD).headers["Location"].startswith(reverse("admin:login"))


def test_createsuperuser_is_a_row_of_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", NEW)
    call_command("createsuperuser", "--noinput", username="grace", email="grace@example.org", verbosity=0)

    actor, action, section, name, before, after = newest()
    assert (actor, action, section, name, before) == ("command line", "created", "users", "grace", "")
    assert "is_superuser=true" in after
    assert NEW not in after


@pytest.mark.parametrize("named", [True, False])
def test_changepassword_is_a_row_of_history(monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    User.objects.create_user("grace", password=OLD)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: NEW)
    monkeypatch.setattr(getpass, "getuser", lambda: "grace")
    call_command("changepassword", *(["grace"] if named else []), verbosity=0)

    assert newest() == ("command line", "changed", "users", "grace", "", "a new password")
