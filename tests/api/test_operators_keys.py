"""API keys through the operators' API."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from gateway.models import ApiKey, Route
from gateway.services.keys import key_of_text
from tests.api.conftest import add_key
from tests.api.test_operators_access import person, staff

pytestmark = pytest.mark.django_db


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(path, body, content_type="application/json")


def test_a_made_key_is_told_once(api: Client) -> None:
    made = post(api, "/api/keys", {"name": "agents", "requests_per_minute": 60}).json()
    key = key_of_text(made["key"])
    assert key is not None
    assert (key.name, key.requests_per_minute) == ("agents", 60)
    listed = api.get("/api/keys")
    assert made["prefix"] in [row["prefix"] for row in listed.json()]
    assert made["key"] not in listed.content.decode()
    assert key.hash not in listed.content.decode()
    assert "no-store" in listed.headers["cache-control"]


@pytest.mark.parametrize(
    ("body", "param", "part"),
    [
        ({"name": "ops"}, None, "has this name"),
        ({"name": "a", "routes": []}, "routes", "at least one route"),
        ({"name": "a", "routes": ["nowhere"]}, "routes", "There is no route 'nowhere'. There are: main"),
        ({"name": "a", "team": "nobody"}, "team", "There is no team 'nobody'"),
        ({"name": "a", "expires_at": "2020-01-01"}, "expires_at", "has passed"),
        ({"name": "a", "max_parallel": 0}, "max_parallel", "greater than or equal to 1"),
        ({"name": "a", "key": "sk-my-own"}, "key", "not permitted"),
    ],
)
def test_a_key_that_cannot_be_made_is_refused_with_the_reason(
    api: Client, body: dict[str, Any], param: str | None, part: str
) -> None:
    Route.objects.create(name="main")
    reply = post(api, "/api/keys", body)
    error = reply.json()["error"]
    assert (reply.status_code, error.get("param")) == (400, param)
    assert part in error["message"]
    assert ApiKey.objects.count() == 1


def test_an_order_for_an_unknown_key_is_refused(api: Client) -> None:
    assert post(api, "/api/keys/nobody", {"action": "disable"}).status_code == 404


def test_a_disabled_key_may_be_enabled_again(api: Client) -> None:
    key = add_key("agents", "sk-llmops-agents")
    assert post(api, "/api/keys/agents", {"action": "disable"}).json()["disabled"] is True
    assert post(api, "/api/keys/agents", {"action": "enable"}).json()["key"] is None
    key.refresh_from_db()
    assert not key.disabled


def test_an_operators_old_key_is_taken_during_the_overlap_and_not_after_a_rotation_now(api: Client) -> None:
    assert post(api, "/api/keys/ops", {"action": "rotate"}).status_code == 200
    assert api.get("/api/keys").status_code == 200
    assert post(api, "/api/keys/ops", {"action": "rotate_now"}).status_code == 200
    assert api.get("/api/keys").status_code == 401


def test_a_person_needs_the_permission_for_keys() -> None:
    reader = person(staff("reader", "view_completion", "change_provider"), csrf=False)
    assert reader.get("/api/keys").status_code == 403
    assert post(reader, "/api/keys", {"name": "a"}).json()["error"]["message"].startswith("Your account lacks")
    allowed = person(staff("keeper", "view_completion", "change_provider", "add_apikey"), csrf=False)
    assert post(allowed, "/api/keys", {"name": "a"}).status_code == 200


def test_the_list_takes_the_same_queries_for_many_keys(api: Client, django_assert_max_num_queries: Any) -> None:
    for number in range(20):
        add_key(f"k{number}", f"sk-llmops-{number}")
    with django_assert_max_num_queries(5):
        assert len(api.get("/api/keys").json()) == 21
