"""Batches as programs of operations see them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from gateway.models import Batch, ConfigurationChange
from tests.batch_rows import add_batch, add_batch_with_lines

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def batch() -> Batch:
    """Two lines answered, one under way."""
    return add_batch_with_lines("succeeded", "errored", "")


def test_a_batch_tells_how_far_it_is_what_it_cost_and_what_it_holds(api: Client, batch: Batch) -> None:
    told = api.get("/api/batches/batch_1").json()
    assert told["counts"] == {
        "lines": 3,
        "succeeded": 1,
        "errored": 1,
        "expired": 0,
        "cancelled": 0,
        "under_way": 1,
    }
    assert (told["cost_usd"], told["reserved_usd"], told["team"]) == ("0.25", "0.75", "research")
    assert [(part["provider"], part["state"], part["upstream_id"]) for part in told["parts"]] == [
        ("openai", "running", None)
    ]
    assert "secret" not in str(told)


def test_a_batch_that_failed_says_why(api: Client, batch: Batch) -> None:
    batch.errors = [{"line": 2, "message": "is not JSON"}, {"line": None, "message": "no room"}]
    batch.save()
    assert api.get("/api/batches/batch_1").json()["errors"] == ["line 2: is not JSON", "no room"]


def test_pages_follow_each_other_without_gap_or_overlap(api: Client) -> None:
    for number in range(5):
        add_batch(f"batch_{number}", at=NOW - timedelta(minutes=number // 2))
    seen: list[str] = []
    after = ""
    while True:
        page = api.get(f"/api/batches?limit=2&after={after}").json()
        seen += [one["id"] for one in page["batches"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert seen == ["batch_1", "batch_0", "batch_3", "batch_2", "batch_4"]


@pytest.mark.parametrize(
    ("query", "ids"),
    [("under_way=true", ["open"]), ("under_way=false", ["done"]), ("team=ops", ["done"]), ("team=", []), ("", 2)],
)
def test_the_list_is_narrowed(api: Client, query: str, ids: list[str] | int) -> None:
    add_batch("open", at=NOW)
    earlier = NOW - timedelta(minutes=1)
    add_batch("done", at=earlier, team_name="ops", state="completed", ended_at=earlier)
    found = [one["id"] for one in api.get(f"/api/batches?{query}").json()["batches"]]
    assert (len(found) if isinstance(ids, int) else found) == ids


def test_a_list_takes_the_same_queries_whatever_its_length(
    api: Client, batch: Batch, django_assert_max_num_queries: object
) -> None:
    for number in range(20):
        add_batch(f"more_{number}", at=NOW)
    with django_assert_max_num_queries(4):  # type: ignore[operator]
        api.get("/api/batches")


def test_cancelling_is_told_in_the_history(api: Client, batch: Batch) -> None:
    told = api.post("/api/batches/batch_1/cancel").json()
    assert told["cancelling_at"] is not None
    change = ConfigurationChange.objects.get(section="batches")
    assert (change.name, "ops" in change.actor) == ("batch_1", True)


@pytest.mark.parametrize("query", ["limit=0", "limit=1000", "after=x", "colour=red", "under_way=maybe"])
def test_a_wrong_parameter_is_named(api: Client, query: str) -> None:
    reply = api.get(f"/api/batches?{query}")
    assert reply.status_code == 400
    assert query.partition("=")[0] in reply.json()["error"]["message"]


@pytest.mark.parametrize("name", ["none", "%00", "x" * 60])
def test_an_unknown_batch_is_a_404(api: Client, name: str) -> None:
    assert api.get(f"/api/batches/{name}").status_code == 404
    assert api.post(f"/api/batches/{name}/cancel").status_code == 404
