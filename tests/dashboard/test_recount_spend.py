"""Every amount of the spend page, its files and the operators' API equals a recount, and leads to its requests."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client

from gateway.models import Completion, Conversation
from gateway.models.organisation import organisation_current
from tests.dashboard.recount import (
    COLUMNS,
    Rows,
    attempts_of,
    begun,
    both_databases,
    by_conversation,
    cost,
    day,
    ids_behind,
    paid,
    scopes,
    settled,
    shown_percent,
    shown_usd,
)

OPENAI_WEEK = "period=custom&from=2026-10-24&to=2026-10-31"
TARGETS = {"provider": "provider", "model": "model"}


def amounts_of(client: Client, query: str) -> list[Decimal]:
    """Spend, reported, estimated, unknown, saved."""
    body = client.get(f"/spend/?{query}").content.decode()
    return [shown_usd(text) for text in re.findall(r'lo-value" title="exactly ([^"]+)"', body)]


def lines_of(client: Client, query: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(client.get(f"/spend/table.csv?{query}").content.decode())))


def by_target(rows: Rows, column: str) -> dict[str, Decimal]:
    """What attempts there were charged; under "" what no attempt accounts for."""
    spent: defaultdict[str, Decimal] = defaultdict(Decimal)
    for attempt in attempts_of(rows):
        spent[getattr(attempt, column)] += attempt.cost_usd
    spent[""] += cost(rows) - paid(attempts_of(rows))
    return {name: amount for name, amount in spent.items() if amount}


def by_owner(rows: Rows, column: str) -> dict[str, Decimal]:
    spent: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        spent[getattr(row, column)] += row.cost_usd
    return {name: amount for name, amount in spent.items() if amount}


@scopes
def test_the_spend_pages_amounts_are_those_of_the_rows(
    awkward: Client, query: str, start: datetime, end: datetime, same: dict[str, object]
) -> None:
    rows = begun(start, end, **same)
    page = awkward.get(f"/spend/?{query}")
    estimated = paid(attempts_of(rows, billing="estimated"))
    unknown = cost(row for row in rows if row.status == "unknown")
    saved = sum((row.saved_usd for row in rows), Decimal(0))
    hits = {row.id for row in rows if row.cache == "hit"}

    assert amounts_of(awkward, query)[:5] == [cost(rows), cost(rows) - estimated - unknown, estimated, unknown, saved]
    assert page.context["whole"].completions == len(settled(rows))
    assert ids_behind(awkward, page.context["rows_url"]) == {row.id for row in settled(rows)}
    assert page.context["whole"].cache_hits == len(hits)
    assert ids_behind(awkward, page.context["hits_url"]) == hits


@both_databases
@pytest.mark.parametrize("by", [*COLUMNS, *TARGETS])
def test_the_names_on_the_spend_page_hold_their_rows_amounts_and_lead_to_them(awkward: Client, by: str) -> None:
    """In the tables of who spent most, and in the legend of the chart."""
    rows = begun(day(10, 24), day(11, 1))
    spent = by_owner(rows, COLUMNS[by]) if by in COLUMNS else by_target(rows, by)
    context = awkward.get(f"/spend/?{OPENAI_WEEK}&by={by}").context
    legend = {one["name"]: one["href"] for one in context["chart"].data["series"]}
    words = {"team": "Teams", "api_key": "API keys", "model": "Models", "route": "Routes"}
    tops = dict(context["tops"]).get(words.get(by, ""), ())

    assert sorted(shown.spend.total_usd for shown in tops) == (sorted(spent.values()) if tops else [])
    assert {row.title: row.rows_url for row in tops} in (legend, {})
    for shown in tops:
        assert shown.share == pytest.approx(float(spent[shown.spend.name] / cost(rows)))
    for name, href in legend.items():
        ids = ids_behind(awkward, href)
        behind = [row for row in rows if row.id in ids]
        plain = "" if name.startswith(("no ", "keys without")) else name
        found = by_owner(behind, COLUMNS[by]) if by in COLUMNS else by_target(behind, by)
        assert found[plain] == spent[plain], name


@both_databases
@pytest.mark.parametrize(
    ("where", "columns"),
    [
        ("provider=openai", {"provider": "openai"}),
        ("provider=anthropic", {"provider": "anthropic"}),
        ("model=gpt-4-turbo", {"model": "gpt-4-turbo"}),
        ("provider=openai&model=gpt-4-turbo&team=research", {"provider": "openai", "model": "gpt-4-turbo"}),
    ],
)
def test_a_providers_spend_is_what_its_attempts_cost_and_leads_to_whoever_made_them(
    awkward: Client, where: str, columns: dict[str, str]
) -> None:
    """Also an attempt that was charged before another provider answered."""
    same = {"team_name": "research"} if "team" in where else {}
    attempts = attempts_of(settled(begun(day(10, 24), day(11, 1), **same)), **columns)
    tiles = {one.key: one for one in awkward.get(f"/dashboard/figures/?{OPENAI_WEEK}&{where}").context["tiles"]}

    assert amounts_of(awkward, f"{OPENAI_WEEK}&{where}")[0] == paid(attempts)
    assert shown_usd(tiles["spend"].exact) == paid(attempts)
    for key in ("spend", "tokens"):
        assert ids_behind(awkward, tiles[key].href) == {attempt.completion_id for attempt in attempts}


def test_under_a_filter_of_provider_requests_count_where_they_were_answered(awkward: Client) -> None:
    rows = settled(begun(day(10, 24), day(11, 1), provider="openai"))
    context = awkward.get(f"/spend/?{OPENAI_WEEK}&provider=openai").context

    assert context["whole"].completions == len(rows)
    assert ids_behind(awkward, context["rows_url"]) == {row.id for row in rows}


@scopes
@pytest.mark.parametrize("by", list(COLUMNS))
def test_the_spend_tables_file_adds_up_to_the_rows(
    awkward: Client, query: str, start: datetime, end: datetime, same: dict[str, object], by: str
) -> None:
    spent = by_owner(begun(start, end, **same), COLUMNS[by])
    lines = lines_of(awkward, f"{query}&by={by}")

    assert sorted(map(Decimal, lines[-1][1:-1])) == sorted(spent.values())
    assert Decimal(lines[-1][-1]) == sum(spent.values())
    for column in range(1, len(lines[0])):
        assert sum((Decimal(line[column]) for line in lines[1:-1]), Decimal(0)) == Decimal(lines[-1][column])


@both_databases
@pytest.mark.parametrize("by", list(TARGETS))
def test_the_spend_tables_file_by_target_adds_up_to_the_attempts(awkward: Client, by: str) -> None:
    rows = begun(day(10, 24), day(11, 1))
    header, *_, total = lines_of(awkward, f"{OPENAI_WEEK}&by={by}")

    assert sorted(map(Decimal, total[1:-1])) == sorted(by_target(rows, by).values())
    assert Decimal(total[-1]) == cost(rows)
    assert len(header) == len(total)


@both_databases
def test_each_day_of_the_month_holds_the_spend_between_two_midnights_of_the_organisation(awkward: Client) -> None:
    lines = lines_of(awkward, "period=custom&from=2026-10-01&to=2026-10-31&by=team")[1:-1]
    midnights = [datetime.fromisoformat(line[0]) for line in lines]

    assert midnights == [day(10, number) for number in range(1, 32)]
    for begins, ends, line in zip(midnights, [*midnights[1:], day(11, 1)], lines, strict=True):
        assert Decimal(line[-1]) == cost(begun(begins, ends)), begins


@both_databases
def test_the_day_on_which_clocks_go_back_has_25_hours_of_spend(awkward: Client) -> None:
    lines = lines_of(awkward, "period=custom&from=2026-10-25&to=2026-10-25&by=team")
    hours = {datetime.fromisoformat(line[0]): Decimal(line[-1]) for line in lines[1:-1]}

    assert len(hours) == 25
    for begins, amount in hours.items():
        assert amount == cost(begun(begins, begins + timedelta(hours=1)))


@scopes
def test_the_file_of_requests_holds_the_rows_behind_the_spend(
    awkward: Client, query: str, start: datetime, end: datetime, same: dict[str, object]
) -> None:
    log = awkward.get(awkward.get(f"/spend/?{query}").context["rows_url"])
    text = awkward.get(log.context["csv_url"]).getvalue().decode()  # type: ignore[attr-defined]
    lines = list(csv.DictReader(io.StringIO(text)))

    assert {line["id"] for line in lines} == {row.id for row in settled(begun(start, end, **same))}


def test_the_file_of_requests_behind_a_providers_spend_holds_those_that_another_answered(awkward: Client) -> None:
    log = awkward.get("/requests/?window=all&tried=openai&outcome=settled")
    text = awkward.get(log.context["csv_url"]).getvalue().decode()  # type: ignore[attr-defined]
    attempts = attempts_of(settled(Completion.objects.exclude(status="refused")), provider="openai")

    assert {line["id"] for line in csv.DictReader(io.StringIO(text))} == {one.completion_id for one in attempts}


@pytest.mark.parametrize(
    ("query", "team_ids"),
    [("period=30d", {0, 1}), ("period=30d&team=research", {1}), ("period=30d&team=(none)", {0})],
)
def test_the_spread_of_what_conversations_cost_is_that_of_their_requests(
    awkward: Client, query: str, team_ids: set[int]
) -> None:
    """With an objective that some lie above."""
    limit = shrink_objective(Decimal("0.19"))
    costs = [
        cost(rows)
        for (team_id, _), rows in by_conversation(settled(begun(day(10, 1), day(12, 1)))).items()
        if team_id in team_ids
    ]
    context = awkward.get(f"/spend/?{query}").context
    spread = context["spread"]

    assert spread.conversations == len(costs)
    assert spread.above == sum(usd > limit for usd in costs)
    assert 0 < spread.above < len(costs) or len(team_ids) == 1
    assert spread.mean_usd == sum(costs, Decimal(0)) / len(costs)
    for bar in context["class_bars"]:
        one = bar.cost_class
        inside = [usd for usd in costs if usd <= (one.up_to_usd or usd) and (usd > one.above_usd or not one.above_usd)]
        assert one.conversations == len(inside), bar.words
        assert one.share == pytest.approx(len(inside) / len(costs))
    assert [one.cost_usd for one, _ in context["conversations"]] == sorted(costs, reverse=True)


def shrink_objective(limit_usd: Decimal) -> Decimal:
    organisation = organisation_current()
    organisation.conversation_cost_usd = limit_usd
    organisation.save()
    return limit_usd


def spend_told(client: Client, group_by: str) -> dict[str, list[dict[str, str]]]:
    moments = {"from": day(10, 25).isoformat(), "to": day(10, 26).isoformat()}
    found: dict[str, list[dict[str, str]]] = client.get("/api/spend", {"group_by": group_by, **moments}).json()
    return found


@both_databases
@pytest.mark.parametrize("by", list(COLUMNS))
def test_spend_for_scripts_is_that_of_the_rows(awkward: Client, by: str) -> None:
    found = spend_told(awkward, by)
    rows = settled(begun(day(10, 25), day(10, 26)))
    groups: defaultdict[str | None, Rows] = defaultdict(list)
    for row in rows:
        groups[getattr(row, COLUMNS[by]) or None].append(row)

    assert told(found["rows"]) == {name: sums(of_group) for name, of_group in groups.items()}
    assert told([found["total"]]) == {None: sums(rows)}  # type: ignore[list-item]


@pytest.mark.parametrize("by", list(TARGETS))
def test_spend_for_scripts_by_target_is_that_of_the_attempts(awkward: Client, by: str) -> None:
    """Money and tokens where attempts were made, requests where they were answered or last tried."""
    found = spend_told(awkward, by)
    rows = settled(begun(day(10, 25), day(10, 26)))
    spent = by_target(rows, by)
    names = set(spent) | {getattr(row, by) for row in rows}
    counts = {name or None: sum(getattr(row, by) == name for row in rows) for name in names}

    assert {row["group"]: Decimal(row["cost_usd"]) for row in found["rows"]} == {
        name or None: spent.get(name, Decimal(0)) for name in names
    }
    assert {row["group"]: row["completions"] for row in found["rows"]} == counts
    for row in found["rows"]:
        if row["group"]:
            attempts = attempts_of(rows, **{by: row["group"]})
            assert row["output_tokens"] == sum(attempt.output_tokens for attempt in attempts)
    assert told([found["total"]]) == {None: sums(rows)}  # type: ignore[list-item]


@both_databases
def test_spend_for_scripts_by_conversation_is_that_of_its_requests(awkward: Client) -> None:
    found = spend_told(awkward, "conversation")
    groups = by_conversation(settled(begun(day(10, 25), day(10, 26))))
    names = {row["group"]: row["team"] for row in found["rows"]}
    shown = {(1 if row["team"] else 0, row["group"]): Decimal(row["cost_usd"]) for row in found["rows"]}

    assert shown == {key: cost(rows) for key, rows in groups.items()}
    assert set(names.values()) <= {"research", None}


def test_spend_for_scripts_undivided_is_one_row_of_everything(awkward: Client) -> None:
    found = spend_told(awkward, "none")

    assert told(found["rows"]) == {None: sums(settled(begun(day(10, 25), day(10, 26))))}


def told(rows: list[dict[str, str]]) -> dict[str | None, tuple[Decimal, int, int, int, int]]:
    return {
        row.get("group"): (
            Decimal(row["cost_usd"]),
            int(row["completions"]),
            int(row["input_tokens"]),
            int(row["cached_input_tokens"]),
            int(row["output_tokens"]),
        )
        for row in rows
    }


def sums(rows: Rows) -> tuple[Decimal, int, int, int, int]:
    return (
        cost(rows),
        len(rows),
        sum(row.input_tokens for row in rows),
        sum(row.cached_input_tokens for row in rows),
        sum(row.output_tokens for row in rows),
    )


def test_the_shares_of_conversations_above_the_objective_are_shown_as_counted(awkward: Client) -> None:
    limit = shrink_objective(Decimal("0.19"))
    costs = [row.cost_usd for row in Conversation.objects.all()]
    body = awkward.get("/spend/?period=30d").content.decode()
    shown = re.search(r"<h3>([^<]+) cost more than", body)

    assert shown is not None
    assert shown_percent(shown[1]) == pytest.approx(100 * sum(usd > limit for usd in costs) / len(costs), abs=0.06)
