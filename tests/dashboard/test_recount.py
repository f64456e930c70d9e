"""Every number of the overview equals a recount in plain Python, and leads to the rows it was counted from."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client

from gateway.models import Completion
from tests.dashboard.recount import (
    NOW,
    Rows,
    begun,
    both_databases,
    cost,
    day,
    failed,
    ids_behind,
    percentile,
    scopes,
    settled,
    shown_ms,
    shown_percent,
    shown_usd,
    waits,
    whole,
)

TILES: dict[str, Callable[[Rows], Rows]] = {
    "requests": lambda rows: rows,
    "errors": lambda rows: [row for row in rows if failed(row)],
    "availability": lambda rows: [row for row in rows if row.status == "answered" and row.drill_id is None],
    "fallbacks": lambda rows: [row for row in rows if row.status == "answered" and row.fell_back],
    "response": lambda rows: [row for row in rows if row.status == "answered"],
    "first-content": lambda rows: [row for row in rows if row.status == "answered" and row.stream],
    "tokens": settled,
    "cache": lambda rows: [row for row in rows if row.cache == "hit"],
    "spend": settled,
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


@both_databases
@scopes
def test_the_overviews_figures_are_those_of_the_rows(
    awkward: Client, query: str, start: datetime, end: datetime, same: dict[str, object]
) -> None:
    rows = begun(start, end, **same)
    tiles = {key: value for key, (value, _) in tiles_of(awkward, query).items()}

    assert whole(tiles["requests"]) == len(rows)
    assert whole(tiles["tokens"]) == sum(row.input_tokens + row.output_tokens for row in settled(rows))
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
        assert shown_percent(tiles[key]) == pytest.approx(100 * part / of, abs=0.06), key


# A tile shows two or three digits; percentiles are counted in buckets that hold at most a tenth of their own time.
SHOWN = 0.05


@scopes
def test_the_times_on_the_overview_are_those_of_the_rows(
    awkward: Client, query: str, start: datetime, end: datetime, same: dict[str, object]
) -> None:
    rows = begun(start, end, **same)
    notes = {tile.key: tile.note for tile in awkward.get(f"/dashboard/figures/?{query}").context["tiles"]}
    tiles = {key: value for key, (value, _) in tiles_of(awkward, query).items()}

    for key, times in {
        "response": waits(rows),
        "first-content": waits(row for row in rows if row.stream),
    }.items():
        shown = re.match("half within (.+?), 95 % within (.+?);", notes[key])
        assert shown is not None, notes[key]
        assert shown_ms(tiles[key]) == pytest.approx(sum(times) / len(times), rel=SHOWN), key
        assert shown_ms(shown[1]) == pytest.approx(percentile(times, 50), rel=SHOWN), key
        assert shown_ms(shown[2]) == pytest.approx(percentile(times, 95), rel=SHOWN), key


@scopes
def test_the_words_under_the_tiles_count_the_rows(
    awkward: Client, query: str, start: datetime, end: datetime, same: dict[str, object]
) -> None:
    rows = begun(start, end, **same)
    judged = [row for row in rows if row.status == "answered" or failed(row)]
    answered = [row for row in rows if row.status == "answered"]
    running = len(rows) - len(settled(rows))
    left = sum(row.status == "cancelled" for row in rows)
    own_mistakes = sum(row.status == "failed" and not failed(row) for row in rows)
    turned_away = own_mistakes + sum(
        start <= row.created_at < end
        for row in Completion.objects.filter(status="refused")
        if all(getattr(row, column) == value for column, value in same.items())
    )
    fallbacks = [row for row in settled(rows) if row.fell_back]
    hits = sum(row.cache == "hit" for row in rows)
    notes = {tile.key: tile.note for tile in awkward.get(f"/dashboard/figures/?{query}").context["tiles"]}

    assert notes["requests"].startswith(f"{len(answered)} answered, {running} under way")
    assert not left or f"{left} left by the client" in notes["requests"]
    assert notes["errors"].startswith(f"{sum(map(failed, judged))} of {len(judged)}")
    assert not turned_away or f"{turned_away} refused" in notes["errors"]
    assert f"of {len(fallbacks)} fallback" in notes["fallbacks"]
    assert f"{hits} of {len(answered)} answer" in notes["cache"]
