"""Fire drills in the back office: a form that starts one, a banner, a report, a button that ends it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from gateway.engine.drill import DrillFault
from gateway.models import Drill, Provider
from gateway.services.drills import drill_start
from tests.selectors.rows import add_attempt, add_completion, add_fallback

ADD = "/admin/gateway/drill/add/"


@pytest.fixture
def openai(db: None) -> Provider:
    return Provider.objects.create(name="openai", kind="openai", base_url="http://openai.invalid")


@pytest.fixture
def drill(openai: Provider) -> Drill:
    return drill_start(
        provider=openai, route=None, fault=DrillFault.UNAVAILABLE, share_percent=10, duration_seconds=60, actor="tester"
    )


def form(owner: Provider, **values: Any) -> dict[str, Any]:
    plain = {"provider": owner.pk, "fault": "503", "share_percent": 25, "minutes": 5, "note": "practice"}
    return plain | values


def test_the_form_starts_a_drill_and_shows_its_report(browser_of_operator: Client, openai: Provider) -> None:
    reply = browser_of_operator.post(ADD, form(openai))
    row = Drill.objects.get()
    assert reply["Location"] == reverse("dashboard:drill", args=[row.pk])
    assert (row.share_percent, row.note, row.started_by) == (25, "practice", "operator")
    assert (row.ends_at - row.starts_at).total_seconds() == 300


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"minutes": 61}, "less than or equal to 60"),
        ({"share_percent": 101}, "less than or equal to 100"),
        ({"provider": ""}, "a provider, a route, or both"),
    ],
)
def test_the_form_says_what_is_wrong(
    browser_of_operator: Client, openai: Provider, wrong: dict[str, Any], said: str
) -> None:
    reply = browser_of_operator.post(ADD, form(openai, **wrong))
    assert said in reply.content.decode()
    assert not Drill.objects.exists()


def test_what_a_drill_may_not_be_is_said_once(browser_of_operator: Client, openai: Provider) -> None:
    page = browser_of_operator.post(ADD, form(openai, provider="")).content.decode()
    assert page.count("A drill needs a provider, a route, or both.") == 1


def test_the_form_says_that_saving_starts_it(browser_of_operator: Client, openai: Provider) -> None:
    assert "It starts with saving, on real traffic." in browser_of_operator.get(ADD).content.decode()


@pytest.mark.parametrize(("extra_usd", "title"), [("0.5", "Extra cost"), ("-0.5", "Saved")])
def test_a_report_calls_it_saved_where_fallbacks_cost_less(
    browser_of_operator: Client, drill: Drill, extra_usd: str, title: str
) -> None:
    request = add_completion("req_1", drill_id=drill.pk)
    add_attempt(request, 1, provider="openai", outcome="failed", fault="503", drill_id=drill.pk)
    add_fallback(request, extra_cost_usd=Decimal(extra_usd))
    page = browser_of_operator.get(reverse("dashboard:drill", args=[drill.pk])).content.decode()
    assert f'{title}</span><span class="lo-value">$0.50<' in page


def test_the_banner_names_the_drill_and_has_a_stop_button(browser_of_operator: Client, drill: Drill) -> None:
    page = browser_of_operator.get(reverse("dashboard:overview")).content.decode()
    assert "Fire drill running:" in page
    assert reverse("dashboard:drill_stop", args=[drill.pk]) in page


def test_without_a_drill_there_is_no_banner(browser_of_operator: Client) -> None:
    assert "Fire drill running" not in browser_of_operator.get(reverse("dashboard:overview")).content.decode()


def test_one_click_stops_it(browser_of_operator: Client, drill: Drill) -> None:
    browser_of_operator.post(reverse("dashboard:drill_stop", args=[drill.pk]))
    assert Drill.objects.get().stopped_by == "operator"


def test_the_list_stops_what_was_chosen(browser_of_operator: Client, drill: Drill) -> None:
    chosen = {"action": "stop", "_selected_action": [drill.pk]}
    browser_of_operator.post("/admin/gateway/drill/", chosen)
    assert Drill.objects.get().stopped_by == "operator"


def test_who_may_only_look_can_not_stop_it(client: Client, drill: Drill, back_office: None) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_drill"))
    client.force_login(viewer)
    address = reverse("dashboard:drill", args=[drill.pk])
    assert "Stop the drill now" not in client.get(address).content.decode()
    assert client.post(address + "stop/").status_code == 403
    assert Drill.objects.get().stopped_at is None


def test_a_request_says_in_words_that_a_drill_touched_it(browser_of_operator: Client, drill: Drill) -> None:
    row = add_completion("req_1", drill_id=drill.pk)
    add_attempt(row, 1, drill_id=drill.pk, fault="503", outcome="failed")
    page = browser_of_operator.get(reverse("dashboard:completion", args=["req_1"])).content.decode()
    assert "played a provider's part in this request" in page
    assert "injected: 503" in page


def test_an_unknown_drill_is_a_404(browser_of_operator: Client) -> None:
    assert browser_of_operator.get(reverse("dashboard:drill", args=[99])).status_code == 404
