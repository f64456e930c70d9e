"""The model catalogue, and replacing a retired model."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from gateway.models import Price, Target
from gateway.services.apply import configuration_apply
from tests.services.conftest import SMALL


@pytest.fixture
def retired(db: None) -> Target:
    configuration_apply(SMALL, actor="tester")
    return Target.objects.get(model="gpt-4-turbo")


def text_of(browser: Client, path: str) -> str:
    return " ".join(browser.get(path).content.decode().split())


def test_the_catalogue_tells_what_a_model_takes_and_costs(browser_of_operator: Client, retired: Target) -> None:
    text = text_of(browser_of_operator, "/models/?q=sonnet-4-5")
    assert "200,000" in text
    assert "above 200,000 in" in text
    assert "gpt-4o" not in text


def test_routes_with_retired_models_stand_on_top(browser_of_operator: Client, retired: Target) -> None:
    text = text_of(browser_of_operator, "/models/")
    assert f'href="/models/targets/{retired.pk}/successor/">Use gpt-6.1-sol</a>' in text


def test_replacing_is_asked_first_with_the_price(browser_of_operator: Client, retired: Target) -> None:
    text = text_of(browser_of_operator, f"/models/targets/{retired.pk}/successor/")
    retired.refresh_from_db()
    assert "-80.0 %" in text
    assert retired.model == "gpt-4-turbo"


def test_one_click_replaces_the_model(browser_of_operator: Client, retired: Target) -> None:
    browser_of_operator.post(f"/models/targets/{retired.pk}/successor/")
    retired.refresh_from_db()
    assert retired.model == "gpt-6.1-sol"


def test_a_successor_without_a_price_leads_to_the_form(
    browser_of_operator: Client, retired: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    Price.objects.filter(model="gpt-6.1-sol").delete()
    monkeypatch.setattr("gateway.services.price_book.price_is_listed", lambda kind, model: False)
    text = text_of(browser_of_operator, f"/models/targets/{retired.pk}/successor/")
    assert "gpt-6.1-sol has no price yet" in text
    assert "/admin/gateway/price/add/?kind=openai&amp;model=gpt-6.1-sol" in text


def test_a_model_without_a_successor_is_left_alone(browser_of_operator: Client, retired: Target) -> None:
    Target.objects.filter(pk=retired.pk).update(model="gpt-4o")
    response = browser_of_operator.post(f"/models/targets/{retired.pk}/successor/", follow=True)
    assert "No successor of gpt-4o is known" in response.content.decode()


def test_the_providers_page_warns_too(browser_of_operator: Client, retired: Target) -> None:
    assert "gpt-4-turbo was retired on 2026-10-23" in text_of(browser_of_operator, "/providers/openai/")


@pytest.mark.parametrize(
    ("permission", "path"), [("view_route", "/models/"), ("view_price", "/models/targets/{pk}/successor/")]
)
def test_others_are_refused(client: Client, retired: Target, permission: str, path: str) -> None:
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename=permission))
    client.force_login(reader)
    assert client.get(path.format(pk=retired.pk)).status_code == 403


@pytest.mark.parametrize(("sent", "model"), [({"model": "gpt-4-turbo"}, "gpt-4-turbo"), ({}, None)])
def test_one_click_forgets_the_cached_answers_of_a_model_or_of_all(
    browser_of_operator: Client, monkeypatch: pytest.MonkeyPatch, sent: dict[str, str], model: str | None
) -> None:
    asked: list[tuple[str, str | None]] = []

    def purge(*, actor: str, model: str | None) -> int:
        asked.append((actor, model))
        return 3

    monkeypatch.setattr("gateway.dashboard.model_pages.cache_purge", purge)
    page = browser_of_operator.post("/models/forget/", sent, follow=True).content.decode()
    assert asked == [("operator", model)]
    assert f"3 cached answers of {model or 'every model'} forgotten." in page


def test_whoever_may_not_change_routes_may_not_forget_answers(back_office: None, client: Client, db: None) -> None:
    watcher = User.objects.create(username="watcher", is_staff=True)
    watcher.user_permissions.set(Permission.objects.filter(codename="view_price"))
    client.force_login(watcher)
    assert client.post("/models/forget/").status_code == 403
    assert "Forget" not in client.get("/models/").content.decode()
