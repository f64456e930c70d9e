"""The history of changes as programs read it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from gateway.models import ConfigurationChange
from gateway.services.configuration import CHANGED
from tests.alerts.conftest import NOW
from tests.api.test_operators_access import error_of, person, staff

pytestmark = pytest.mark.django_db


def changed(name: str, *, actor: str = "ada", section: str = "budgets") -> ConfigurationChange:
    return ConfigurationChange.objects.create(
        at=NOW, actor=actor, action=CHANGED, section=section, name=name, before="limit_usd: 5", after="limit_usd: 7"
    )


def told(api: Client, query: str = "") -> dict[str, Any]:
    return dict(api.get(f"/api/changes{query}").json())


def names(api: Client, query: str) -> list[str]:
    return [change["name"] for change in told(api, query)["changes"]]


def test_a_change_is_told_whole(api: Client) -> None:
    row = changed("month")
    assert told(api, "?section=budgets") == {
        "changes": [
            {
                "id": row.pk,
                "at": "2026-11-22T12:00:00Z",
                "actor": "ada",
                "action": CHANGED,
                "section": "budgets",
                "name": "month",
                "before": "limit_usd: 5",
                "after": "limit_usd: 7",
            }
        ],
        "next": None,
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?section=budgets", ["b", "a"]),
        ("?name=c", ["c"]),
        ("?actor=ben", ["c", "b"]),
        ("?section=budgets&name=a", ["a"]),
    ],
)
def test_changes_can_be_narrowed(api: Client, query: str, found: list[str]) -> None:
    changed("a")
    changed("b", actor="ben")
    changed("c", actor="ben", section="routes")
    assert names(api, query) == found


def test_the_next_page_begins_where_this_one_ends(api: Client) -> None:
    for name in "abc":
        changed(name)
    first = told(api, "?section=budgets&limit=2")
    assert [change["name"] for change in first["changes"]] == ["c", "b"]
    rest = told(api, f"?section=budgets&limit=2&after={first['next']}")
    assert ([change["name"] for change in rest["changes"]], rest["next"]) == (["a"], None)


@pytest.mark.parametrize("query", ["?limit=0", "?after=0", "?after=x", "?who=ada", "?name=%00", "?actor=a%0Ab"])
def test_a_wrong_filter_is_refused(api: Client, query: str) -> None:
    assert api.get(f"/api/changes{query}").status_code == 400


def test_reading_it_needs_its_permission() -> None:
    refused = person(staff("reader", "view_completion")).get("/api/changes")
    assert refused.status_code == 403
    assert "gateway.view_configurationchange" in error_of(refused)["message"]
    reader = person(staff("auditor", "view_completion", "view_configurationchange"))
    assert reader.get("/api/changes").status_code == 200
