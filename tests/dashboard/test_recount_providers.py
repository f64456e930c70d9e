"""The numbers of a provider's page and of the breakers' equal a recount of attempts and transitions."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.test import Client

from gateway.models import Attempt, BreakerTransition, Completion, Drill, Provider
from tests.dashboard.recount import NOW, attempts_of, begun, both_databases, failed, ids_behind, percentile, text_of
from tests.selectors.rows import add_attempt, add_provider

PROVIDERS = ("openai", "anthropic")
MINUTE = timedelta(minutes=1)
# The changes of openai's breaker; the last but one belongs to a fire drill, whose breaker is another one.
CHANGES = (
    (NOW - timedelta(days=2), "closed", "open", None),
    (NOW - timedelta(days=2) + MINUTE, "open", "half_open", None),
    (NOW - timedelta(hours=25), "half_open", "closed", None),
    (NOW - timedelta(hours=24), "closed", "open", None),
    (NOW - 90 * MINUTE, "open", "closed", None),
    (NOW - 80 * MINUTE, "closed", "open", 7),
    (NOW, "closed", "half_open", None),
)


@pytest.fixture(autouse=True)
def providers(awkward: Client) -> None:
    """And an attempt that another provider answered, one that was never sent, one that is still to come."""
    for name in PROVIDERS:
        add_provider(name)
    row = Completion.objects.get(pk="plain-6")
    add_attempt(row, 2, provider="anthropic", outcome="skipped", latency_ms=1)
    add_attempt(row, 3, provider="anthropic", outcome="failed", latency_ms=7)
    add_attempt(row, 4, provider="anthropic", outcome="cancelled", latency_ms=99_999)
    add_attempt(row, 5, provider="anthropic", started_at=NOW + MINUTE)
    for at, before, after, drill_id in CHANGES:
        BreakerTransition.objects.create(
            provider="openai", at=at, from_state=before, to_state=after, cause="5 failures in a row", drill_id=drill_id
        )


def sent(provider: str, since: datetime) -> list[Attempt]:
    ended = ("succeeded", "failed")
    rows = attempts_of(Completion.objects.all(), provider=provider)
    return [row for row in rows if since <= row.started_at <= NOW and row.outcome in ended]


@both_databases
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_providers_traffic_is_that_of_its_attempts_and_leads_to_them(awkward: Client, provider: str) -> None:
    traffic = awkward.get(f"/providers/{provider}/").context["traffic"]

    assert [window.hours for window, _ in traffic] == [1, 24]
    for window, href in traffic:
        rows = sent(provider, NOW - timedelta(hours=window.hours))
        times = sorted(row.latency_ms for row in rows if row.outcome == "succeeded")
        assert window.attempts == len(rows)
        assert window.error_share == pytest.approx(sum(row.outcome == "failed" for row in rows) / len(rows))
        assert (window.p50_ms, window.p95_ms) == (percentile(times, 50), percentile(times, 95))
        assert awkward.get(href).context["cl"].result_count == len(rows)


def test_a_providers_last_error_is_its_newest_failed_attempt(awkward: Client) -> None:
    failure = awkward.get("/providers/openai/").context["failure"]
    rows = [row for row in sent("openai", NOW - timedelta(days=30)) if row.outcome == "failed"]
    newest = max(row.started_at for row in rows)

    assert failure.at == newest
    assert failure.request_id in {row.completion_id for row in rows if row.started_at == newest}


@both_databases
@pytest.mark.parametrize("address", ["/breakers/", "/providers/openai/"])
def test_a_breakers_day_is_that_of_its_transitions_without_those_of_drills(awkward: Client, address: str) -> None:
    context = awkward.get(address).context
    told = {row.card.breaker.provider: row.told for row in context["rows"]}["openai"] if "rows" in context else ()
    bands = [(band.start, band.end, band.state) for band in (told or context["bands"])]
    changes = [
        (at, after) for at, _, after, drill_id in CHANGES if drill_id is None and NOW - timedelta(hours=24) < at <= NOW
    ]
    edges = [NOW - timedelta(hours=24), *(at for at, _ in changes), NOW]
    states = ["open", *(after for _, after in changes)]

    assert bands[::-1] == list(zip(edges[:-1], edges[1:], states, strict=True))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_breakers_links_lead_to_its_failures_and_its_changes(awkward: Client, provider: str) -> None:
    row = {one.card.breaker.provider: one for one in awkward.get("/breakers/").context["rows"]}[provider]
    lost = {one.id for one in begun(NOW - timedelta(hours=24), NOW, provider=provider) if failed(one)}
    attempts = attempts_of(Completion.objects.all(), provider=provider, outcome="failed")
    changes = [one for one in CHANGES if one[3] is None] if provider == "openai" else []

    assert ids_behind(awkward, row.requests_url) == lost
    assert awkward.get(row.card.attempts_url).context["cl"].result_count == len(attempts)
    assert awkward.get(row.card.history_url).context["cl"].result_count == len(changes)


def test_a_fire_drills_report_counts_its_requests_and_leads_to_them(awkward: Client) -> None:
    """Also those that another drill touched before it did."""
    drill = Drill.objects.create(
        pk=7, provider=Provider.objects.get(name="openai"), fault="503", share_percent=100, started_by="x",
        starts_at=NOW - 30 * MINUTE, ends_at=NOW,
    )  # fmt: skip
    touched = {row.completion_id for row in Attempt.objects.filter(drill_id=drill.pk)}
    rows = [row for row in Completion.objects.all() if row.id in touched]
    context = awkward.get(f"/drills/{drill.pk}/").context
    report = context["report"]

    assert any(row.drill_id == 8 for row in rows)
    assert report.affected == len(rows)
    assert ids_behind(awkward, context["requests_url"]) == touched
    assert report.answered == sum(row.status == "answered" for row in rows)
    assert report.rescued == sum(row.status == "answered" and row.fell_back for row in rows)
    assert report.failed == sum(map(failed, rows))
    assert f"{len(rows)} Show them" in text_of(awkward.get(f"/drills/{drill.pk}/").content.decode())
