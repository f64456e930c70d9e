"""Forgetting a conversation from its page."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from gateway.models import Completion, ConfigurationChange, Team
from tests.selectors.rows import add_completion, add_conversation

pytestmark = pytest.mark.django_db


@pytest.fixture
def team() -> Team:
    return Team.objects.create(name="research")


@pytest.fixture
def page(team: Team) -> str:
    """Where a conversation of two requests is forgotten."""
    add_conversation("talk-1", team_id=team.pk, completions=2, cost_usd=Decimal("0.5"))
    for number in range(2):
        add_completion(f"req_{number}", conversation="talk-1", team_id=team.pk, team_name="research", cost_usd="0.25")
    return f"/conversations/talk-1/forget/?team={team.pk}"


def test_a_conversations_page_offers_to_forget_it(browser_of_operator: Client, page: str, team: Team) -> None:
    assert page in browser_of_operator.get(f"/conversations/talk-1/?team={team.pk}").content.decode()


def test_asking_forgets_nothing(browser_of_operator: Client, page: str) -> None:
    assert "Forget it for good" in browser_of_operator.get(page).content.decode()
    assert Completion.objects.filter(conversation="talk-1").count() == 2


def test_one_button_forgets_it_and_leads_to_what_is_left(browser_of_operator: Client, page: str) -> None:
    response = browser_of_operator.post(page, follow=True)

    assert "2 requests are forgotten; they are ~forgotten-" in response.content.decode()
    assert "talk-1" not in response.content.decode()
    assert sum(row.cost_usd for row in Completion.objects.all()) == Decimal("0.5")
    assert ConfigurationChange.objects.get().actor == "operator"


def test_what_is_forgotten_is_not_offered_again(browser_of_operator: Client, page: str) -> None:
    assert "/forget/" not in browser_of_operator.post(page, follow=True).content.decode()


def test_only_the_team_that_was_asked_for_is_touched(browser_of_operator: Client, page: str) -> None:
    add_conversation("talk-1", team_id=0, completions=1)
    add_completion("req_9", conversation="talk-1")

    browser_of_operator.post(page)

    assert Completion.objects.filter(conversation="talk-1").values_list("pk", flat=True).get() == "req_9"


def test_a_conversation_that_is_none_is_not_found(browser_of_operator: Client, page: str) -> None:
    for name in ("talk-2", "talk%00"):
        assert browser_of_operator.post(page.replace("talk-1", name)).status_code == 404


def test_who_may_only_look_neither_sees_the_link_nor_forgets(client: Client, page: str, team: Team) -> None:
    viewer = User.objects.create(username="viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_completion"))
    client.force_login(viewer)

    assert "/forget/" not in client.get(f"/conversations/talk-1/?team={team.pk}").content.decode()
    assert client.post(page).status_code == 403
    assert Completion.objects.filter(conversation="talk-1").count() == 2
