from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from django.test import Client

from gateway.selectors import completions_csv
from tests.selectors.rows import NOON, add_completion

pytestmark = pytest.mark.django_db

ALL = "from=2026-11-01&to=2026-12-01"


def download(api: Client, query: str = ALL) -> list[dict[str, str]]:
    response = api.get(f"/api/completions.csv?{query}")
    assert response.status_code == 200, response.content
    text = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_line_tells_what_a_completion_was_and_cost(api: Client) -> None:
    add_completion("one", cost_usd=Decimal("0.000000000001"), team_name="research", input_tokens=12)

    (line,) = download(api)

    assert (line["id"], line["created_at"], line["team_name"]) == ("one", "2026-11-22T12:00:00Z", "research")
    assert (line["cost_usd"], line["input_tokens"], line["http_status"]) == ("0.000000000001", "12", "200")


def test_every_row_comes_once_however_many_there_are_of_one_moment(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completions_csv, "_ROWS_PER_QUERY", 3)
    for index in range(10):
        add_completion(f"r{index}", at=NOON)

    assert [line["id"] for line in download(api)] == [f"r{index}" for index in range(10)]


def test_names_filter(api: Client) -> None:
    add_completion("a", team_name="research")
    add_completion("b", team_name="")

    assert [line["id"] for line in download(api, f"{ALL}&team=")] == ["b"]
    assert [line["id"] for line in download(api, f"{ALL}&team=research&provider=openai")] == ["a"]
    assert download(api, f"{ALL}&model=other") == []


def test_a_text_is_never_a_formula(api: Client) -> None:
    add_completion("a", requested_model="=HYPERLINK(1)")

    assert download(api)[0]["requested_model"] == "'=HYPERLINK(1)"


@pytest.mark.parametrize(
    ("query", "param"), [("", "from"), ("from=2026-12-01&to=2026-11-01", "from"), (f"{ALL}&key=x", "key")]
)
def test_a_wrong_request_says_what_is_wrong(api: Client, query: str, param: str) -> None:
    response = api.get(f"/api/completions.csv?{query}")

    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
