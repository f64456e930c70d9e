from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.http import HttpRequest
from django.test import Client, RequestFactory

from gateway.dashboard.links import model_list_url
from gateway.dashboard.navigation import sidebar
from tests.selectors.rows import NOON


def request_of(user: User, path: str = "/") -> HttpRequest:
    request = RequestFactory().get(path)
    request.user = user
    return request


def titles(request: HttpRequest) -> list[str]:
    return [item["title"] for group in sidebar(request) for item in group["items"]]


def test_the_sidebar_leads_to_the_dashboard_and_to_what_the_user_may_see(operator: User) -> None:
    assert {"Overview", "Spend", "Users", "Groups"} <= set(titles(request_of(operator)))


@pytest.mark.django_db
def test_the_sidebar_leaves_out_what_the_user_may_not_see(back_office: None) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_group"))

    assert titles(request_of(viewer)) == ["Overview", "Spend", "Groups"]


@pytest.mark.parametrize(
    ("path", "active"), [("/", ["Overview"]), ("/spend/", ["Spend"]), ("/admin/auth/user/3/change/", ["Users"])]
)
def test_the_sidebar_marks_where_the_user_is(operator: User, path: str, active: list[str]) -> None:
    groups = sidebar(request_of(operator, path))

    assert [item["title"] for group in groups for item in group["items"] if item["active"]] == active


def test_the_admins_pages_show_the_same_sidebar(browser_of_operator: Client) -> None:
    assert 'href="/"' in browser_of_operator.get("/admin/").content.decode()


def test_filters_become_part_of_a_lists_address_and_times_are_utc(operator: User) -> None:
    address = model_list_url(request_of(operator), "auth.User", is_staff__exact=1, date_joined__gte=NOON)

    assert address == "/admin/auth/user/?is_staff__exact=1&date_joined__gte=2026-11-22T12%3A00%3A00%2B00%3A00"


@pytest.mark.parametrize("label", ["gateway.NoSuchThing", "contenttypes.ContentType"])
def test_a_list_that_does_not_exist_has_no_address(operator: User, label: str) -> None:
    assert model_list_url(request_of(operator), label) == ""
