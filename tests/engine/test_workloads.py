"""The table of workloads: which row holds for a request."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.engine.tier import Tier
from gateway.engine.workloads import Workload, Workloads

REQUEST: dict[str, Any] = {
    "api_key_id": 1,
    "team_id": 7,
    "tags": ("task=translate", "user=ann"),
    "system_prompt": "00112233445566ff",
}


def row(name: str, tier: Tier = Tier.SIMPLE, **conditions: Any) -> Workload:
    return Workload(name, tier, **conditions)


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"api_key_id": 1}, True),
        ({"api_key_id": 2}, False),
        ({"team_id": 7}, True),
        ({"team_id": 8}, False),
        ({"tag": "user=ann"}, True),
        ({"tag": "user=bob"}, False),
        ({"system_prompt": "00112233445566ff"}, True),
        ({"system_prompt": "ffffffffffffffff"}, False),
        ({"api_key_id": 1, "team_id": 7, "tag": "task=translate", "system_prompt": "00112233445566ff"}, True),
        ({"api_key_id": 1, "tag": "task=summarise"}, False),
    ],
)
def test_a_row_holds_where_all_its_conditions_are_met(conditions: dict[str, Any], holds: bool) -> None:
    assert (Workloads([row("one", **conditions)]).find(**REQUEST) is not None) is holds


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        pytest.param([row("team", team_id=7), row("both", team_id=7, tag="user=ann")], "both", id="most conditions"),
        pytest.param([row("a", team_id=7), row("b", Tier.COMPLEX, tag="user=ann")], "b", id="the complex one"),
        pytest.param([row("b", team_id=7), row("a", api_key_id=1)], "a", id="the first by name"),
        pytest.param([row("a", team_id=7), row("b", Tier.COMPLEX, team_id=7)], "b", id="same conditions"),
    ],
)
def test_of_several_rows_one_holds_in_whatever_order_they_come(rows: list[Workload], name: str) -> None:
    for order in (rows, rows[::-1]):
        found = Workloads(order).find(**REQUEST)
        assert found is not None
        assert found.name == name


def test_a_condition_is_not_met_by_what_isnt_there() -> None:
    table = Workloads([row("team", team_id=7), row("prompt", system_prompt="00112233445566ff"), row("tag", tag="a=b")])
    assert table.find(api_key_id=1, team_id=None, tags=(), system_prompt="") is None


def test_a_look_up_in_a_large_table_tries_no_more_than_the_request_has() -> None:
    tried = []

    class Counting(dict[Any, Any]):
        def get(self, key: Any, default: Any = None) -> Any:
            tried.append(key)
            return super().get(key, default)

    table = Workloads(row(f"w{n}", team_id=n, tag=f"task={n}") for n in range(5_000))
    table._by_conditions = Counting(table._by_conditions)
    table.find(**REQUEST)
    assert len(tried) == len(REQUEST["tags"])
