"""The pages of the cheap model and of savings equal a recount of requests, attempts, prices and ratings."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from gateway.models import Attempt, Completion, Feedback, Price
from tests.dashboard.recount import NOW, OWNERS, Rows, begun, both_databases, day, ids_behind, scopes, settled
from tests.selectors.rows import add_provider, new_attempt, new_completion

CHEAP, STRONG = "gpt-3.5-turbo", "gpt-4-turbo"
# US dollars per million tokens: in, out.
PRICES = {CHEAP: (Decimal("0.5"), Decimal("1.5")), STRONG: (Decimal(10), Decimal(30))}
MILLION = Decimal(1_000_000)
FRAMES = {
    "period=24h": (NOW - timedelta(hours=24), NOW),
    "period=custom&from=2026-10-25&to=2026-10-25": (day(10, 25), day(10, 26)),
}
frames = pytest.mark.parametrize("query", list(FRAMES))
WHERE: dict[str, dict[str, object]] = {
    "": {},
    "&team=research": {"team_name": "research"},
    "&team=(none)": {"team_name": ""},
}
# What was decided, by what, under which mode, and what became of it.
DECIDED: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("sent", "score", "25%", {}),
    ("sent", "score", "25%", {"finish_reason": "length"}),
    ("sent", "caller", "25%", {}),
    ("sent", "score", "25%", {"fell_back": True, "model": STRONG, "attempt_count": 2}),
    ("sent", "score", "on", {"status": "failed", "http_status": 503}),
    ("sent", "score", "on", {"status": "cancelled", "http_status": 499}),
    ("kept", "score", "25%", {"model": STRONG}),
    ("kept", "score", "25%", {"model": STRONG, "finish_reason": "refusal"}),
    ("shadow", "score", "shadow", {"model": STRONG}),
    ("strong", "tools", "25%", {"model": STRONG}),
)
RATINGS = {0: [-1], 1: [1], 3: [1, -1], 6: [-1], 7: [1]}
TIMES = (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), day(10, 26) - timedelta(microseconds=1), NOW - timedelta(minutes=1))


@pytest.fixture(autouse=True)
def decided(awkward: Client) -> None:
    """Decisions on both routes, at both ends of a day of 25 hours and now; some are rated, some have called twice."""
    add_provider("openai")
    for model, (in_usd, out_usd) in PRICES.items():
        Price.objects.create(kind="openai", model=model, input_per_mtok=in_usd, output_per_mtok=out_usd)
    for place, at in enumerate(TIMES):
        for number, (choice, reason, mode, values) in enumerate(DECIDED):
            _add_decided(
                f"decided-{place}-{number}",
                at,
                number,
                {**OWNERS[(place + number) % 2], **values},
                (choice, reason, mode),
            )


def _add_decided(name: str, at: datetime, number: int, values: dict[str, Any], decision: tuple[str, str, str]) -> None:
    choice, reason, mode = decision
    tier = "complex" if choice == "strong" else "simple"
    stored = {"choice": choice, "reason": reason, "mode": mode, "tier": tier}
    targets = {"target": f"openai/{CHEAP}", "instead_of": f"openai/{STRONG}"}
    known = {"model": CHEAP, "input_tokens": 1000 + number, "output_tokens": 100, "cost_usd": Decimal("0.0123")}
    row = new_completion(name, at=at, decision={"simple": stored | targets}, **{**known, **values})
    row.save(force_insert=True)
    if row.attempt_count == 2:
        new_attempt(row, 1, model=CHEAP, outcome="failed", cost_usd=Decimal("0.0007")).save()
    for key, score in enumerate(RATINGS.get(number, ())):
        Feedback.objects.create(
            completion=row, api_key_id=key + 1, api_key_name="k", score=score, created_at=NOW, updated_at=NOW
        )


def decisions(query: str, **same: object) -> list[tuple[Completion, dict[str, str]]]:
    found = begun(*FRAMES[query], **same)
    return [(row, row.decision["simple"]) for row in found if "simple" in row.decision]


def price_of(row: Completion, model: str) -> Decimal:
    in_usd, out_usd = PRICES[model]
    return (row.input_tokens * in_usd + row.output_tokens * out_usd) / MILLION


def saved_by(row: Completion, decision: dict[str, str]) -> Decimal:
    """Of an answer to what was sent to the cheap model: the strong one's price less what was paid, or the lost call."""
    if decision["choice"] != "sent" or row.status != "answered":
        return Decimal(0)
    if row.model == CHEAP:
        return price_of(row, STRONG) - row.cost_usd
    return -sum((one.cost_usd for one in Attempt.objects.filter(completion=row, model=CHEAP)), Decimal(0))


def in_trouble(row: Completion) -> bool:
    return row.status == "failed" or row.fell_back or row.finish_reason in ("length", "refusal")


def thumbs(rows: Rows) -> tuple[int, int]:
    """Thumbs down, and how many were rated; the worst word on a request counts."""
    worst = [min(scores) for row in rows if (scores := [one.score for one in Feedback.objects.filter(completion=row)])]
    return sum(score == -1 for score in worst), len(worst)


@both_databases
@frames
@pytest.mark.parametrize("where", list(WHERE))
def test_the_cheap_models_page_counts_its_decisions_and_leads_to_them(awkward: Client, query: str, where: str) -> None:
    cards = {card.report.route: card for card in awkward.get(f"/simple/?{query}{where}").context["cards"]}
    found = decisions(query, **WHERE[where])

    assert set(cards) == {row.route_name for row, _ in found}
    for route, card in cards.items():
        own = [(row, decision) for row, decision in found if row.route_name == route]
        sent = [row for row, decision in own if decision["choice"] == "sent"]
        assert card.report.decisions == len(own)
        assert card.share_sent == pytest.approx(len(sent) / len(own))
        assert ids_behind(awkward, card.requests_url) == {row.id for row, _ in own}
        assert ids_behind(awkward, card.sent_url) == {row.id for row in sent}
        reasons = Counter((decision["reason"], decision["tier"]) for _, decision in own)
        assert sorted(number for *_, number, _ in card.reasons) == sorted(reasons.values())
        assert card.report.saved_usd == sum((saved_by(*one) for one in own), Decimal(0))
        watched = [row for row, decision in own if decision["choice"] == "shadow"]
        would = sum((row.cost_usd - price_of(row, CHEAP) for row in watched), Decimal(0))
        assert card.report.would_save_usd == would


@frames
def test_harm_is_that_of_whom_chance_chose(awkward: Client, query: str) -> None:
    cards = {card.report.route: card for card in awkward.get(f"/simple/?{query}").context["cards"]}
    for route, card in cards.items():
        by_chance = [
            (row, decision)
            for row, decision in decisions(query)
            if row.route_name == route and decision["mode"].endswith("%") and decision["reason"] != "caller"
        ]
        disliked, troubled = card.harms
        for choice, side in (("sent", "sent"), ("kept", "control")):
            rows = [row for row, decision in by_chance if decision["choice"] == choice]
            ended = [row for row in rows if row.status in ("answered", "failed")]
            of_thumbs, of_trouble = getattr(disliked, side), getattr(troubled, side)
            assert (of_thumbs.part, of_thumbs.whole) == thumbs(rows)
            assert (of_trouble.part, of_trouble.whole) == (sum(map(in_trouble, ended)), len(ended))


def test_below_the_comparison_stand_the_requests_that_were_disliked(awkward: Client) -> None:
    reports = [card.report for card in awkward.get("/simple/?period=30d").context["cards"]]
    sent = [
        row for row in begun(NOW - timedelta(days=30), NOW) if row.decision.get("simple", {}).get("choice") == "sent"
    ]

    assert sum(len(report.disliked) for report in reports) == thumbs(sent)[0]
    assert sum(len(report.escalated) for report in reports) == sum(map(in_trouble, sent))


def prompt_price() -> Price:
    terms = {"input_per_mtok": 3, "cached_input_per_mtok": Decimal("0.3"), "output_per_mtok": 15}
    return Price.objects.create(kind="anthropic", model="claude", cache_write_per_mtok=Decimal("3.75"), **terms)


@scopes
def test_savings_are_those_of_the_rows_whoever_they_are_told_by(
    awkward: Client, query: str, start: datetime, end: datetime, same: dict[str, object]
) -> None:
    rows = settled(begun(start, end, **same))
    calls = Attempt.objects.filter(completion__in=rows, provider="anthropic", cached_input_tokens__gt=0)
    calls.update(price_id=prompt_price().pk, cache_write_tokens=1)
    expected: defaultdict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    for row in rows:
        kept = expected[row.team_name]
        kept[0] += row.saved_usd
        if "simple" in row.decision:
            kept[1] += saved_by(row, row.decision["simple"])
    for one in calls.select_related("completion"):
        saved = one.cached_input_tokens * Decimal("2.7") - one.cache_write_tokens * Decimal("0.75")
        expected[one.completion.team_name][2] += saved / MILLION
    context = awkward.get(f"/savings/?{query}").context
    teams = {title: saved for title, _, saved in dict(context["tables"])["Teams"]}
    whole = [sum(column, Decimal(0)) for column in zip(*expected.values(), strict=True)]
    hits = {row.id for row in rows if row.cache == "hit"}

    assert [context["whole"].cache_usd, context["whole"].cheap_usd, context["whole"].prompt_usd] == whole
    assert context["whole"].total_usd == sum(whole)
    for name, amounts in expected.items():
        saved = teams[name or "no team"]
        assert [saved.cache_usd, saved.cheap_usd, saved.prompt_usd] == amounts, name
    assert context["whole"].hits == len(hits)
    assert ids_behind(awkward, context["hits_url"]) == hits
    assert context["whole"].cached_tokens == sum(one.cached_input_tokens for one in calls)
