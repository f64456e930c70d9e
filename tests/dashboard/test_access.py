from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db

PAGES = ["/", "/completions/some-id/"]
PARTS = ["/dashboard/providers/", "/dashboard/figures/", "/dashboard/recent/"]


@pytest.mark.parametrize("address", PAGES + PARTS)
def test_strangers_are_sent_to_the_login_form_and_back(back_office: None, client: Client, address: str) -> None:
    response = client.get(address)

    assert (response.status_code, response["Location"]) == (302, f"/admin/login/?next={address}")


def test_people_without_a_place_in_the_back_office_are_not_let_in(back_office: None, client: Client) -> None:
    client.force_login(User.objects.create_user("agent"))

    assert client.get("/")["Location"] == "/admin/login/?next=/"


@pytest.mark.parametrize("address", PARTS)
def test_a_refresh_after_the_session_ended_sends_the_whole_page_to_the_login_form(
    back_office: None, client: Client, address: str
) -> None:
    response = client.get(address, headers={"HX-Request": "true"})

    assert (response.status_code, response["HX-Redirect"]) == (204, "/admin/login/?next=/")


@pytest.mark.parametrize("address", PAGES + PARTS)
def test_pages_can_only_be_read(browser_of_operator: Client, address: str) -> None:
    assert browser_of_operator.post(address).status_code == 405


@pytest.mark.parametrize("address", ["/", *PARTS])
def test_pages_are_never_kept_in_a_cache(browser_of_operator: Client, address: str) -> None:
    assert "no-store" in browser_of_operator.get(address)["Cache-Control"]
