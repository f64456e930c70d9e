"""Every number of the pages equals a recount in plain Python, from rows that are awkward on purpose.

The recount knows no query and no roll-up: it walks along the rows and asks of each what the words of the pages mean.
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client

from gateway.models import Attempt, Completion
from gateway.models.organisation import organisation_current
from gateway.services.rollups import rollups_refresh
from tests.selectors.rows import add_attempt, add_completion

BERLIN = ZoneInfo("Europe/Berlin")
# The first of November in Berlin, half an hour after midnight; still October in UTC.
NOW = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)
CENT = Decimal("0.01")
OWN_FAULTS = {400, 405, 413, 422}

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "stream": {"stream": True, "first_content_ms": 240, "latency_ms": 4000},
    "rescued": {"fell_back": True, "provider": "anthropic", "model": "claude-sonnet-4-5", "attempt_count": 2},
    "lost": {"fell_back": True, "status": "failed", "http_status": 503, "attempt_count": 2},
    "hit": {"cache": "hit", "provider": "", "model": "", "attempt_count": 0, "saved_usd": 4 * CENT, "latency_ms": 3},
    "estimated": {"status": "cancelled", "http_status": 499, "billing": "estimated", "stream": True},
    "orphan": {"status": "unknown", "http_status": None, "billing": "unknown", "provider": "", "model": ""},
    "own-mistake": {"status": "failed", "http_status": 400, "error_code": "invalid_request"},
    "turned-away": {"status": "refused", "http_status": 401, "attempt_count": 0, "provider": "", "model": ""},
    "drilled": {"drill_id": 7, "latency_ms": 9000},
    "drilled-lost": {"drill_id": 7, "status": "failed", "http_status": 502},
    "running": {"status": "pending", "http_status": None, "latency_ms": None},
}  # fmt: skip
FREE = {"hit", "own-mistake", "turned-away", "running"}
# Both hours called half past two, midnights of Berlin and UTC, the month's end, and what no roll-up holds yet.
MOMENTS = (
    datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
    datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    datetime(2026, 10, 24, 22, 0, tzinfo=UTC),
    datetime(2026, 10, 25, 23, 0, tzinfo=UTC),
    datetime(2026, 10, 31, 22, 59, 59, 999999, tzinfo=UTC),
    datetime(2026, 10, 31, 23, 0, tzinfo=UTC),
    datetime(2026, 10, 31, 23, 29, tzinfo=UTC),
)
OWNERS = (
    {"team_id": 1, "team_name": "research", "api_key_id": 1, "api_key_name": "agents", "route_name": "default"},
    {"team_id": 0, "team_name": "", "api_key_id": 2, "api_key_name": "batch & co", "route_name": "cheap"},
)


@pytest.fixture
def awkward(operator: User, client: Client) -> Iterable[Client]:
    """A browser at `NOW`; all but the last two hours of the rows are in the roll-ups."""
    organisation = organisation_current()
    organisation.time_zone = BERLIN.key
    organisation.save()
    for place, at in enumerate(MOMENTS):
        for number, (kind, values) in enumerate(KINDS.items()):
            _write(f"{kind}-{place}", at, kind, values | OWNERS[(place + number) % 2], Decimal(place + number + 1))
    rollups_refresh(now=NOW - timedelta(hours=2))
    with time_machine.travel(NOW, tick=False):
        client.force_login(operator)
        yield client


def _write(name: str, at: datetime, kind: str, values: dict[str, Any], cents: Decimal) -> None:
    cost = Decimal(0) if kind in FREE else cents * CENT / 7
    cost = cost.quantize(Decimal("0.000001"))
    tokens = {} if kind in FREE else {"input_tokens": int(cents) * 11, "output_tokens": int(cents) * 3}
    completion = add_completion(name, at=at, cost_usd=cost, **tokens, **values)
    if kind in FREE or kind == "orphan":
        return
    if completion.attempt_count == 2:
        add_attempt(completion, 1, provider="openai", model="gpt-4-turbo", outcome="failed", cost_usd=0)
    billing = values.get("billing", "reported")
    add_attempt(completion, completion.attempt_count, cost_usd=cost, billing=billing, **tokens)


def begun(start: datetime, end: datetime, **same: object) -> list[Completion]:
    """All that were not turned away, those under way too."""
    return [
        row
        for row in Completion.objects.all()
        if start <= row.created_at < end and row.status != "refused"
        if all(getattr(row, column) == value for column, value in same.items())
    ]


def failed(row: Completion) -> bool:
    return row.status == "unknown" or (row.status == "failed" and row.http_status not in OWN_FAULTS)


def cost(rows: Iterable[Completion]) -> Decimal:
    return sum((row.cost_usd for row in rows if row.status != "pending"), Decimal(0))


def day(month: int, number: int) -> datetime:
    return datetime(2026, month, number, tzinfo=BERLIN).astimezone(UTC)


# The address's query, and what it must look at.
SCOPES: tuple[tuple[str, datetime, datetime, dict[str, object]], ...] = (
    ("period=24h", NOW - timedelta(hours=24), NOW, {}),
    ("period=today", day(11, 1), NOW, {}),
    ("period=month&team=research", day(11, 1), NOW, {"team_name": "research"}),
    ("period=30d&team=(none)", NOW - timedelta(days=30), NOW, {"team_name": ""}),
    ("period=30d&api_key=batch+%26+co", NOW - timedelta(days=30), NOW, {"api_key_name": "batch & co"}),
    ("period=7d&route=cheap", NOW - timedelta(days=7), NOW, {"route_name": "cheap"}),
    ("period=custom&from=2026-10-25&to=2026-10-25", day(10, 25), day(10, 26), {}),
    ("period=custom&from=2026-10-01&to=2026-10-31", day(10, 1), day(11, 1), {}),
)
scopes = pytest.mark.parametrize(("query", "start", "end", "same"), SCOPES, ids=[scope[0] for scope in SCOPES])

COLUMNS = {"team": "team_name", "api_key": "api_key_name", "route": "route_name"}

Rows = list[Completion]
TILES: dict[str, Callable[[Rows], Rows]] = {
    "requests": lambda rows: rows,
    "errors": lambda rows: [row for row in rows if failed(row)],
    "availability": lambda rows: [row for row in rows if row.status == "answered" and row.drill_id is None],
    "fallbacks": lambda rows: [row for row in rows if row.status == "answered" and row.fell_back],
    "response": lambda rows: [row for row in rows if row.status == "answered"],
    "first-content": lambda rows: [row for row in rows if row.status == "answered" and row.stream],
    "tokens": lambda rows: rows,
    "cache": lambda rows: [row for row in rows if row.cache == "hit"],
    "spend": lambda rows: rows,
}


def tiles_of(client: Client, query: str) -> dict[str, tuple[str, str]]:
    """Of each tile on the overview: its exact value, or what it shows, and its link."""
    body = client.get(f"/dashboard/figures/?{query}").content.decode()
    found = re.findall(
        r'<a href="([^"]+)" class="lo-card lo-tile[^>]*id="tile-([^"]+)">'
        r'.*?lo-value"(?: title="exactly ([^"]+)")?>(.*?)<',
        body,
        re.DOTALL,
    )
    return {key: (exact or shown, html.unescape(href)) for href, key, exact, shown in found}


def shown_usd(text: str) -> Decimal:
    return Decimal(text.replace("$", "").replace(",", ""))


def whole(text: str) -> int:
    return int(text.replace(",", ""))


def ids_behind(client: Client, href: str) -> set[str]:
    """Of every page of the log."""
    found: set[str] = set()
    while href:
        context = client.get(href).context
        found |= {line.id for line, _ in context["rows"]}
        href = context["next_url"]
    return found


@scopes
def test_the_overviews_figures_are_those_of_the_rows(
    awkward: Client, query: str, start: datetime, end: datetime, same: dict[str, object]
) -> None:
    rows = begun(start, end, **same)
    tiles = {key: value for key, (value, _) in tiles_of(awkward, query).items()}
    settled = [row for row in rows if row.status != "pending"]

    assert whole(tiles["requests"]) == len(rows)
    assert whole(tiles["tokens"]) == sum(row.input_tokens + row.output_tokens for row in settled)
    assert whole(tiles["fallbacks"]) == len(TILES["fallbacks"](rows))
    assert whole(tiles["cache"]) == len(TILES["cache"](rows))
    assert shown_usd(tiles["spend"]) == cost(rows)
    assert shown_usd(tiles["spend-today"]) == cost(begun(day(11, 1), NOW, **same))
    assert shown_usd(tiles["spend-month"]) == cost(begun(day(11, 1), NOW, **same))


@scopes
def test_behind_each_tile_are_the_rows_it_counts(
    awkward: Client, query: str, start: datetime, end: datetime, same: dict[str, object]
) -> None:
    rows = begun(start, end, **same)
    links = {key: href for key, (_, href) in tiles_of(awkward, query).items()}

    for key, wanted in TILES.items():
        assert ids_behind(awkward, links[key]) == {row.id for row in wanted(rows)}, key


@scopes
def test_the_spend_pages_amounts_are_those_of_the_rows(
    awkward: Client, query: str, start: datetime, end: datetime, same: dict[str, object]
) -> None:
    rows = begun(start, end, **same)
    page = awkward.get(f"/spend/?{query}")
    body = page.content.decode()
    amounts = [shown_usd(text) for text in re.findall(r'lo-value" title="exactly ([^"]+)"', body)]
    attempts = Attempt.objects.filter(billing="estimated", completion__in=rows)
    estimated = sum((attempt.cost_usd for attempt in attempts), Decimal(0))
    unknown = cost(row for row in rows if row.status == "unknown")
    saved = sum((row.saved_usd for row in rows), Decimal(0))

    assert amounts[:5] == [cost(rows), cost(rows) - estimated - unknown, estimated, unknown, saved]
    assert ids_behind(awkward, page.context["rows_url"]) == {row.id for row in rows}
    assert ids_behind(awkward, page.context["hits_url"]) == {row.id for row in TILES["cache"](rows)}


@scopes
@pytest.mark.parametrize(
    ("by", "column"), [("team", "team_name"), ("api_key", "api_key_name"), ("route", "route_name")]
)
def test_the_spend_tables_file_adds_up_to_the_rows(
    awkward: Client, query: str, start: datetime, end: datetime, same: dict[str, object], by: str, column: str
) -> None:
    spent: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in begun(start, end, **same):
        spent[getattr(row, column)] += row.cost_usd
    lines = list(csv.reader(io.StringIO(awkward.get(f"/spend/table.csv?{query}&by={by}").content.decode())))

    assert sorted(map(Decimal, lines[-1][1:-1])) == sorted(amount for amount in spent.values() if amount)
    assert Decimal(lines[-1][-1]) == sum(spent.values())
    for column_of_file in range(1, len(lines[0])):
        steps = sum((Decimal(line[column_of_file]) for line in lines[1:-1]), Decimal(0))
        assert steps == Decimal(lines[-1][column_of_file])


def test_the_day_on_which_clocks_go_back_has_25_hours_of_spend(awkward: Client) -> None:
    lines = list(
        csv.reader(
            io.StringIO(
                awkward.get("/spend/table.csv?period=custom&from=2026-10-25&to=2026-10-25&by=team").content.decode()
            )
        )
    )
    hours = {datetime.fromisoformat(line[0]): Decimal(line[-1]) for line in lines[1:-1]}

    assert len(hours) == 25
    for begins, amount in hours.items():
        assert amount == cost(begun(begins, begins + timedelta(hours=1)))


def test_behind_a_fire_drills_report_are_its_requests(awkward: Client) -> None:
    assert ids_behind(awkward, "/requests/?window=all&drill=7") == {
        row.id for row in Completion.objects.all() if row.drill_id == 7
    }


@scopes
def test_the_file_of_requests_holds_the_rows_behind_the_spend(
    awkward: Client, query: str, start: datetime, end: datetime, same: dict[str, object]
) -> None:
    log = awkward.get(awkward.get(f"/spend/?{query}").context["rows_url"])
    text = awkward.get(log.context["csv_url"]).getvalue().decode()
    lines = list(csv.DictReader(io.StringIO(text)))

    assert {line["id"] for line in lines} == {row.id for row in begun(start, end, **same)}


@scopes
def test_the_shares_on_the_overview_are_those_of_the_rows(
    awkward: Client, query: str, start: datetime, end: datetime, same: dict[str, object]
) -> None:
    rows = begun(start, end, **same)
    judged = [row for row in rows if row.status == "answered" or failed(row)]
    undrilled = [row for row in judged if row.drill_id is None]
    tiles = {key: value for key, (value, _) in tiles_of(awkward, query).items()}
    shares = {
        "errors": (sum(map(failed, judged)), len(judged)),
        "availability": (len(undrilled) - sum(map(failed, undrilled)), len(undrilled)),
    }

    for key, (part, of) in shares.items():
        assert float(tiles[key].replace("%", "").strip()) == pytest.approx(100 * part / of, abs=0.06), key


@pytest.mark.parametrize(("by", "column"), list(COLUMNS.items()))
def test_spend_for_scripts_is_that_of_the_rows(awkward: Client, by: str, column: str) -> None:
    start, end = day(10, 25), day(10, 26)
    found = awkward.get("/api/spend", {"group_by": by, "from": start.isoformat(), "to": end.isoformat()}).json()
    settled = [row for row in begun(start, end) if row.status != "pending"]
    groups = {getattr(row, column) or None: begun(start, end, **{column: getattr(row, column)}) for row in settled}

    assert Decimal(found["total"]["cost_usd"]) == cost(settled)
    assert found["total"]["completions"] == len(settled)
    assert {row["group"]: Decimal(row["cost_usd"]) for row in found["rows"]} == {
        name: cost(rows) for name, rows in groups.items()
    }
