"""Accounts and groups: who changed what, and who may."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from gateway.models import ConfigurationChange, Team
from gateway.services.archive import configuration_archive, configuration_restore
from gateway.services.keys import key_create, key_disable

pytestmark = pytest.mark.django_db

PASSWORD = "a-long-enough-pass-phrase"


def newest() -> ConfigurationChange:
    return ConfigurationChange.objects.latest("pk")


def form_of(user: User, **values: object) -> dict[str, object]:
    joined = {"date_joined_0": "2026-11-22", "date_joined_1": "12:00:00"}
    return {"username": user.username, "email": "", "is_active": "on", "is_staff": "on", **joined, **values}


@pytest.fixture
def administrator(operations: Client) -> Client:
    """Of the group, no superuser."""
    user = User.objects.create(username="admin", is_staff=True)
    user.groups.add(Group.objects.get(name="Administrator"))
    client = Client()
    client.force_login(user)
    return client


def test_a_changed_account_shows_who_before_and_after(operations: Client) -> None:
    jane, viewer = User.objects.create(username="jane", is_staff=True), Group.objects.get(name="Viewer")

    response = operations.post(f"/admin/auth/user/{jane.pk}/change/", form_of(jane, groups=[viewer.pk]))

    assert response.status_code == 302
    told = newest()
    assert (told.actor, told.action, told.section, told.name) == ("operations", "changed", "users", "jane")
    assert "groups=\n" in told.before
    assert "groups=Viewer\n" in told.after


def test_a_new_account_and_its_new_password_show_without_the_password(operations: Client) -> None:
    words = {"username": "jane", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    assert operations.post("/admin/auth/user/add/", words).status_code == 302
    assert (newest().action, newest().name) == ("created", "jane")

    jane, again = User.objects.get(username="jane"), f"{PASSWORD}-2"
    given = {"password1": again, "password2": again, "usable_password": "true"}
    assert operations.post(f"/admin/auth/user/{jane.pk}/password/", given).status_code == 302

    assert newest().after == "a new password"
    assert not any("pass-phrase" in row.before + row.after for row in ConfigurationChange.objects.all())


def test_a_deleted_account_shows_what_it_was(operations: Client) -> None:
    jane = User.objects.create(username="jane")
    operations.post(f"/admin/auth/user/{jane.pk}/delete/", {"post": "yes"})

    assert (newest().action, newest().name, newest().after) == ("deleted", "jane", "")


def test_a_changed_group_shows_its_permissions(operations: Client) -> None:
    viewer = Group.objects.get(name="Viewer")
    operations.post(f"/admin/auth/group/{viewer.pk}/change/", {"name": "Viewer", "permissions": []})

    assert "gateway.view_completion" in newest().before
    assert newest().after == "name=Viewer\npermissions="


def test_an_administrator_makes_nobody_a_superuser(administrator: Client) -> None:
    jane = User.objects.create(username="jane", is_staff=True)
    administrator.post(f"/admin/auth/user/{jane.pk}/change/", form_of(jane, is_superuser="on"))

    assert not User.objects.get(username="jane").is_superuser


def test_an_administrator_may_not_change_a_superuser(administrator: Client) -> None:
    root = User.objects.get(username="operations")
    given = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}

    assert administrator.post(f"/admin/auth/user/{root.pk}/password/", given).status_code == 403
    assert administrator.post(f"/admin/auth/user/{root.pk}/delete/", {"post": "yes"}).status_code == 403


def test_what_is_taken_back_into_use_is_told_as_restored(db: None) -> None:
    team = Team.objects.create(name="research")
    configuration_archive(row=team, actor="jane")
    configuration_restore(row=team, actor="jane")

    assert (newest().action, newest().section, newest().name) == ("restored", "teams", "research")


def test_a_new_key_shows_its_settings_and_no_hash(db: None) -> None:
    row, plain = key_create(name="agent", actor="jane", requests_per_minute=7)

    assert "requests_per_minute" in newest().after
    assert plain not in newest().after
    assert row.hash not in newest().after


def test_a_disabled_key_shows_what_it_was_before(db: None) -> None:
    row, _ = key_create(name="agent", actor="jane")
    key_disable(key=row, actor="jane")

    assert (newest().before, newest().after) == ("disabled=false", "disabled=true")
