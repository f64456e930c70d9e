"""Out of use: asked before, with what would be different; marked and read-only afterwards, restorable."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from gateway.models import AlertChannel, ApiKey, Budget, Price, Provider, Route, Team
from gateway.services.keys import key_create, key_of_text

pytestmark = pytest.mark.usefixtures("configured")


def page_of(row: Any, page: str) -> str:
    return f"/admin/gateway/{row._meta.model_name}/{row.pk}/{page}/"


def text(response: Any) -> str:
    return str(response.content.decode())


def channel() -> AlertChannel:
    row = AlertChannel(name="pager", events=["breaker_opened"])
    row.set_url("json://127.0.0.1/secret")
    row.save()
    return row


def unused_provider() -> Provider:
    return Provider.objects.create(name="spare", kind="openai", base_url="http://127.0.0.1:9/v1")


MAKERS: list[Any] = [
    pytest.param(unused_provider, "its breaker is forgotten", id="provider"),
    pytest.param(lambda: Route.objects.get(name="default"), "Agents that ask for default or gpt-4-turbo", id="route"),
    pytest.param(lambda: Team.objects.get(name="research"), "be chosen for keys and budgets any more", id="team"),
    pytest.param(lambda: key_create(name="k", actor="t")[0], "is refused within two seconds", id="key"),
    pytest.param(
        lambda: Budget.objects.create(name="b", scope="global", limit_usd="1"), "no longer holds", id="budget"
    ),
    pytest.param(channel, "nobody would be told of anything", id="channel"),
    pytest.param(lambda: Price.objects.filter(model="gpt-4-turbo").get(), "Nothing would take its place", id="price"),
]


@pytest.mark.parametrize(("maker", "sentence"), MAKERS)
def test_archiving_asks_first_and_says_what_would_be_different(operations: Client, maker: Any, sentence: str) -> None:
    row = maker()
    asked = text(operations.get(page_of(row, "archive")))
    assert sentence in asked
    row.refresh_from_db()
    assert not row.archived


@pytest.mark.parametrize(("maker", "sentence"), MAKERS)
def test_what_is_archived_is_marked_and_read_only_and_comes_back(operations: Client, maker: Any, sentence: str) -> None:
    row = maker()
    operations.post(page_of(row, "archive"), {"confirmed": "yes"})
    row.refresh_from_db()
    assert row.archived

    shown = operations.get(page_of(row, "change"))
    assert "It can be read here and restored, not changed." in text(shown)
    assert 'name="_save"' not in text(shown)
    assert operations.post(page_of(row, "change"), {}).status_code == 403

    operations.post(page_of(row, "restore"), {"confirmed": "yes"})
    row.refresh_from_db()
    assert not row.archived


def test_what_is_needed_says_by_what_and_offers_no_button(operations: Client) -> None:
    asked = text(operations.get(page_of(Provider.objects.get(name="openai"), "archive")))
    assert "openai can&#x27;t be archived: it is still needed by the route &quot;default&quot;." in asked
    assert 'value="yes"' not in asked


def test_a_list_that_may_show_archived_rows_marks_them(operations: Client) -> None:
    Team.objects.create(name="bygone", archived_at=timezone.now())
    assert "archived 20" in text(operations.get("/admin/gateway/team/?archived=all"))
    assert "archived 20" not in text(operations.get("/admin/gateway/team/"))


def test_a_key_is_rotated_on_its_page_after_a_question(operations: Client) -> None:
    key, old = key_create(name="agents", actor="tester")
    assert "shown once on the next page" in text(operations.get(page_of(key, "rotate-now")))
    assert key_of_text(old) == key
    made = text(operations.post(page_of(key, "rotate-now"), {"confirmed": "yes"}))
    assert "sk-llmops-" in made
    assert key_of_text(old) is None


def test_a_key_is_disabled_and_enabled_on_its_page(operations: Client) -> None:
    key, _ = key_create(name="agents", actor="tester")
    operations.get(page_of(key, "disable"))
    assert not ApiKey.objects.get(pk=key.pk).disabled
    for disabled in (True, False):
        operations.post(page_of(key, "disable"), {"confirmed": "yes"})
        assert ApiKey.objects.get(pk=key.pk).disabled is disabled
