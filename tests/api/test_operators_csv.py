from __future__ import annotations

import csv
import io
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from gateway.selectors import completions_csv
from tests.selectors.rows import NOON, add_attempt, add_completion

pytestmark = pytest.mark.django_db

ALL = "from=2026-11-01&to=2026-12-01"


def download(api: Client, query: str = ALL, what: str = "completions") -> list[dict[str, str]]:
    response = api.get(f"/api/{what}.csv?{query}")
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


def test_each_attempt_is_a_line_in_the_order_of_the_requests(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions_csv, "_ROWS_PER_QUERY", 2)
    for name in ("c", "b", "a"):
        row = add_completion(name, at=NOON + timedelta(seconds=ord(name)))
        add_attempt(row, 1, outcome="failed", cost_usd=Decimal("0.01"))
        add_attempt(row, 2)
    add_completion("refused", status="refused")

    lines = download(api, what="attempts")

    assert [line["completion_id"] + line["number"] for line in lines] == ["a1", "a2", "b1", "b2", "c1", "c2"]
    assert (lines[0]["outcome"], lines[0]["cost_usd"]) == ("failed", "0.01")


def test_attempts_filter_by_their_requests_names(api: Client) -> None:
    for name, team in (("a", "research"), ("b", "")):
        add_attempt(add_completion(name, team_name=team), 1)

    assert [line["completion_id"] for line in download(api, f"{ALL}&team=research", "attempts")] == ["a"]


@pytest.mark.parametrize("what", ["completions", "attempts"])
def test_the_command_writes_what_the_download_does(api: Client, what: str) -> None:
    add_attempt(add_completion("a"), 1)
    written = io.StringIO(newline="")

    call_command("usage", what, "--from", "2026-11-01", "--to", "2026-12-01T00:00Z", stdout=written)

    assert list(csv.DictReader(io.StringIO(written.getvalue(), newline=""))) == download(api, what=what)


@pytest.mark.parametrize(
    ("times", "said"),
    [(("--from", "yesterday"), "no time such as"), (("--from", "2026-12-01", "--to", "2026-11-01"), "not be later")],
)
def test_the_command_says_what_is_wrong_with_times(times: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        call_command("usage", "completions", *times)
