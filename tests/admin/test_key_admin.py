"""API keys in the admin: shown once, rotated and archived after a question."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from gateway.models import ApiKey
from gateway.services.keys import key_create, key_of_text

LIST = "/admin/gateway/apikey/"
KEY = re.compile(r"sk-llmops-[\w-]{43}")


@pytest.fixture
def made(configured: None) -> tuple[ApiKey, str]:
    return key_create(name="agents", actor="tester")


def act(operations: Client, key: ApiKey, action: str, **more: str) -> Any:
    return operations.post(LIST, {"action": action, "_selected_action": [key.pk], **more}, follow=True)


def test_a_new_keys_page_sets_no_cookie_with_it_and_is_not_cached(operations: Client, configured: None) -> None:
    page = operations.post(f"{LIST}add/", {"name": "agents", "role": "agent", "all_routes": "on"})
    (key,) = set(KEY.findall(page.content.decode()))
    assert not any(key in morsel.value for morsel in page.cookies.values())
    assert "no-store" in page.headers["cache-control"]
    assert key not in operations.get(LIST).content.decode()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "in use"),
        ({"disabled": True}, "disabled"),
        ({"expires_at": timezone.now() - timedelta(days=1)}, "expired"),
        ({"expires_at": timezone.now() + timedelta(days=1)}, "in use"),
    ],
)
def test_the_list_says_in_a_word_whether_a_key_is_taken(
    operations: Client, made: tuple[ApiKey, str], changes: dict[str, Any], words: str
) -> None:
    ApiKey.objects.update(**changes)
    page = operations.get(LIST).content.decode()
    assert re.search(rf'<td class="[^"]*field-taken[^"]*"[^>]*>\s*{words}\s*</td>', page)


@pytest.mark.parametrize("action", ["rotate", "rotate_now", "archive"])
def test_nothing_is_done_before_it_is_confirmed(operations: Client, made: tuple[ApiKey, str], action: str) -> None:
    key, plain = made
    page = act(operations, key, action).content.decode()
    assert "agents" in page
    assert key_of_text(plain) == key


def test_a_rotation_shows_the_new_key_and_until_when_the_old_one_is_taken(
    operations: Client, made: tuple[ApiKey, str]
) -> None:
    key, old = made
    page = act(operations, key, "rotate", confirmed="yes").content.decode()
    (new,) = set(KEY.findall(page))
    assert "is taken until" in page
    assert key_of_text(old) == key_of_text(new) == key


def test_a_rotation_now_refuses_the_old_key(operations: Client, made: tuple[ApiKey, str]) -> None:
    key, old = made
    page = act(operations, key, "rotate_now", confirmed="yes").content.decode()
    assert KEY.search(page)
    assert key_of_text(old) is None


def test_an_archived_key_is_refused(operations: Client, made: tuple[ApiKey, str]) -> None:
    key, plain = made
    act(operations, key, "archive", confirmed="yes")
    assert key_of_text(plain) is None


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "Choose at least one route"),
        ({"all_routes": "on", "expires_at_0": "2020-01-01", "expires_at_1": "00:00"}, ""),
    ],
    ids=["no route", "expired"],
)
def test_a_key_that_could_never_be_used_is_refused(
    operations: Client, configured: None, fields: dict[str, str], sentence: str
) -> None:
    page = operations.post(f"{LIST}add/", {"name": "agents", "role": "agent", **fields}).content.decode()
    assert (sentence or "This time has passed") in page
    assert not ApiKey.objects.filter(name="agents").exists()


def test_a_key_that_has_expired_since_may_still_be_edited(operations: Client, made: tuple[ApiKey, str]) -> None:
    key, _ = made
    past = timezone.now().replace(microsecond=0) - timedelta(days=1)
    ApiKey.objects.filter(pk=key.pk).update(expires_at=past)
    fields = {"expires_at_0": f"{past:%Y-%m-%d}", "expires_at_1": f"{past:%H:%M:%S}", "all_routes": "on"}
    operations.post(f"{LIST}{key.pk}/change/", {"name": "renamed", "role": "agent", **fields})
    assert ApiKey.objects.get(pk=key.pk).name == "renamed"
