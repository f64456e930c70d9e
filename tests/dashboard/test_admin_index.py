"""The admin's first page for those who may see something of it, and for those who may not."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

pytestmark = pytest.mark.django_db


def test_an_account_without_a_role_reads_whom_to_ask(back_office: None, client: Client) -> None:
    User.objects.create_superuser("chief", "chief@example.org")
    client.force_login(User.objects.create_user("newcomer", is_staff=True))
    response = client.get(reverse("admin:index"))

    assert response.status_code == 403
    assert "chief@example.org" in response.content.decode()


def test_who_may_see_something_gets_the_index(browser_of_operator: Client) -> None:
    assert browser_of_operator.get(reverse("admin:index")).status_code == 200


def test_strangers_are_sent_to_the_login_form(client: Client) -> None:
    assert client.get(reverse("admin:index")).headers["Location"].startswith(reverse("admin:login"))
