"""What each group that comes with the product may do, asked of the product itself: pages, admin, operators' API."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from gateway.models import RoleGrant
from gateway.services.roles import ROLES, role_codenames, roles_hand_out
from tests.selectors.rows import add_provider

pytestmark = pytest.mark.django_db

DRILL = {"provider": "openai", "fault": "503", "share_percent": 5, "duration_seconds": 60}
RAISE = {"amount_usd": "1", "until": "2036-11-23T18:00:00Z", "reason": "x"}
FORCE_OPEN = {"action": "force_open", "reason": "maintenance"}


def member(role: str) -> Client:
    user = User.objects.create(username=role.lower(), is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def test_the_groups_are_there_after_migrating() -> None:
    assert set(Group.objects.values_list("name", flat=True)) == set(ROLES)


def test_every_permission_named_exists_but_for_the_stored_content() -> None:
    there = set(Permission.objects.values_list("content_type__app_label", "codename"))

    assert {name for role in ROLES for name in role_codenames(role)} - there <= {("gateway", "view_stored_content")}


def test_handing_out_again_changes_nothing() -> None:
    before = [set(group.permissions.values_list("pk", flat=True)) for group in Group.objects.order_by("pk")]
    roles_hand_out(using="default")

    assert [set(group.permissions.values_list("pk", flat=True)) for group in Group.objects.order_by("pk")] == before


def test_what_was_taken_away_by_hand_stays_away() -> None:
    operator = Group.objects.get(name="Operator")
    operator.permissions.remove(Permission.objects.get(codename="change_route"))
    roles_hand_out(using="default")

    assert not operator.permissions.filter(codename="change_route").exists()


def test_a_group_that_was_deleted_is_not_brought_back() -> None:
    Group.objects.get(name="Finance").delete()
    roles_hand_out(using="default")

    assert not Group.objects.filter(name="Finance").exists()


def test_a_permission_that_comes_later_reaches_the_administrators_only() -> None:
    content_type = Permission.objects.filter(codename="view_completion").get().content_type
    Permission.objects.get_or_create(
        codename="view_stored_content", content_type=content_type, defaults={"name": "May see stored content"}
    )
    roles_hand_out(using="default")

    holders = Group.objects.filter(permissions__codename="view_stored_content").values_list("name", flat=True)
    assert list(holders) == ["Administrator"]


def test_what_was_handed_out_is_noted_once() -> None:
    assert RoleGrant.objects.filter(role="Operator", codename="change_route").count() == 1


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("page", ["/", "/requests/", "/spend/", "/breakers/", "/conversations/", "/models/"])
def test_every_role_sees_the_pages(back_office: None, role: str, page: str) -> None:
    assert member(role).get(page).status_code == 200


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("/admin/gateway/provider/add/", {"Operator", "Administrator"}),
        ("/admin/gateway/route/add/", {"Operator", "Administrator"}),
        ("/admin/gateway/drill/add/", {"Operator", "Administrator"}),
        ("/admin/gateway/alertchannel/add/", {"Operator", "Administrator"}),
        ("/admin/gateway/budget/add/", {"Finance", "Administrator"}),
        ("/admin/gateway/price/add/", {"Finance", "Administrator"}),
        ("/admin/gateway/team/add/", {"Administrator"}),
        ("/admin/gateway/apikey/add/", {"Administrator"}),
        ("/admin/gateway/apikey/", {"Operator", "Finance", "Administrator"}),
        ("/admin/gateway/configurationchange/", set(ROLES)),
        ("/admin/auth/user/", {"Administrator"}),
        ("/admin/auth/group/", {"Administrator"}),
    ],
)
def test_the_admin_obeys_the_table(back_office: None, path: str, who: set[str]) -> None:
    assert {role for role in ROLES if member(role).get(path).status_code == 200} == who


@pytest.mark.parametrize(
    ("path", "body", "who"),
    [
        ("/api/breakers/openai", FORCE_OPEN, {"Operator", "Administrator"}),
        ("/api/drills/1/stop", {}, {"Operator", "Administrator"}),
        ("/api/drills", DRILL, {"Operator", "Administrator"}),
        ("/api/cache/purge", {}, {"Operator", "Administrator"}),
        ("/api/alerts/1/acknowledge", {}, {"Operator", "Administrator"}),
        ("/api/alert-messages/1/retry", {}, {"Operator", "Administrator"}),
        ("/api/alert-channels/none/test", {}, {"Operator", "Administrator"}),
        ("/api/budgets/none/raise", RAISE, {"Finance", "Administrator"}),
        ("/api/keys", {"name": "new"}, {"Administrator"}),
        ("/api/keys/none", {"action": "disable"}, {"Administrator"}),
    ],
)
def test_the_operators_api_obeys_the_table(path: str, body: dict[str, Any], who: set[str]) -> None:
    add_provider("openai")
    let_in = {
        role for role in ROLES if member(role).post(path, body, content_type="application/json").status_code != 403
    }

    assert let_in == who


def test_the_breakers_page_obeys_the_table(back_office: None) -> None:
    add_provider("openai")
    order = {"provider": "openai", "action": "force_open", "reason": "maintenance", "confirmed": "yes"}

    assert {role for role in ROLES if member(role).post("/breakers/act/", order).status_code == 302} == {
        "Operator",
        "Administrator",
    }


def test_staff_without_a_role_read_whom_to_ask(back_office: None) -> None:
    User.objects.create_superuser("jane", "jane@example.org")
    client = Client()
    client.force_login(User.objects.create(username="newcomer", is_staff=True))

    response = client.get("/")

    assert response.status_code == 403
    assert "Your account has no role here yet" in response.content.decode()
    assert "jane (jane@example.org)" in response.content.decode()


def test_a_missing_permission_is_named_with_whom_to_ask(back_office: None) -> None:
    add_provider("openai")
    User.objects.create_superuser("jane")

    page = member("Viewer").post("/providers/openai/act/", {"action": "test"}).content.decode()

    assert "gateway.change_provider" in page
    assert "Whom to ask: jane." in page


def test_an_unknown_thing_has_a_page_in_the_frame(back_office: None) -> None:
    page = member("Viewer").get("/providers/nobody/")

    assert page.status_code == 404
    assert "There is no such provider in use." in page.content.decode()
    assert "nav-sidebar" in page.content.decode()


def test_every_app_label_of_the_table_is_installed() -> None:
    assert {app for role in ROLES for app, _ in role_codenames(role)} <= {one.label for one in apps.get_app_configs()}
