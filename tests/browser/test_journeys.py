"""What operations do on the worst days, in a real browser in front of a whole gateway: see, act, rehearse, find out."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.browser.conftest import Visit, ask, within_two_seconds
from tests.gateway_process import GatewayProcess

pytestmark = pytest.mark.browser

GPT, CLAUDE = "openai/gpt-4-turbo", "anthropic/claude-3-5-sonnet-20241022"


@pytest.fixture
def broken_openai(gateway: GatewayProcess, simulator: Simulator) -> Iterator[None]:
    """OpenAI answers 503 from now on. Afterwards it works again, and so does its breaker."""
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai"))
    yield
    simulator.faults.clear()
    gateway.post("/api/breakers/openai", {"action": "reset", "reason": "The test is over."})


def watch_breakers(page: Page, url: str) -> None:
    page.goto(f"{url}/breakers/")
    expect(page.locator("#breakers [data-provider=openai]")).to_contain_text("Working")
    page.evaluate("window.notReloaded = true")


def fail_until_open(gateway: GatewayProcess) -> None:
    """Agents go on asking: each is answered by the fallback, and their failures open the breaker."""
    for _ in range(3):
        assert ask(gateway) == (200, CLAUDE)


def expect_paused(page: Page) -> None:
    breaker = page.locator("#breakers [data-provider=openai]")
    expect(breaker).to_contain_text("Paused")
    expect(breaker).to_contain_text("5 of 5")
    expect(breaker.locator("[data-countdown]")).to_have_text(re.compile(r"in \d+ s"))
    expect(page.locator("[data-announcer]")).to_have_text("openai: Paused.")
    assert page.evaluate("window.notReloaded") is True


def force_closed(page: Page, reason: str) -> None:
    page.locator("#act-openai").click()
    expect(page.get_by_label("Provider", exact=True)).to_have_value("openai")
    page.get_by_label("Why").fill(reason)
    page.get_by_label("I mean it").check()
    page.get_by_role("button", name="Force closed").click()


@pytest.mark.usefixtures("broken_openai")
def test_a_breaker_is_seen_opening_without_reloading_and_can_be_forced_closed(
    desk: Visit, gateway: GatewayProcess, simulator: Simulator
) -> None:
    desk.do(lambda page: watch_breakers(page, gateway.url))
    fail_until_open(gateway)
    desk.do(expect_paused)
    simulator.faults.clear()

    def close(page: Page) -> None:
        force_closed(page, "The provider says that it is back.")
        breaker = page.locator("#breakers [data-provider=openai]")
        expect(breaker).to_contain_text("Held closed by hand: The provider says that it is back.")

    desk.do(close)
    within_two_seconds(lambda: ask(gateway), (200, GPT))


def start_drill(page: Page, url: str) -> None:
    page.goto(f"{url}/breakers/")
    page.get_by_role("link", name="Start a fire drill").click()
    page.locator("select[name=provider]").select_option(label="openai")
    page.locator("select[name=fault]").select_option("503")
    page.locator("input[name=share_percent]").fill("100")
    page.get_by_label("Minutes").fill("5")
    page.locator("[name=note]").fill("Does the night shift notice?")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="at openai")).to_be_visible()
    expect(page.get_by_role("button", name="Stop the drill now")).to_be_visible()


def stop_drill(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.locator(".lo-drill")).to_contain_text("Fire drill running")
    page.locator(".lo-drill").get_by_role("link", name="Report").click()
    page.get_by_role("button", name="Stop the drill now").click()
    expect(page.locator(".lo-headline")).to_contain_text("stopped by operator")
    expect(page.get_by_text("Does the night shift notice?")).to_be_visible()
    expect(page.locator(".lo-tile", has_text="Requests affected").locator(".lo-value")).to_have_text("2")
    expect(page.locator(".lo-tile", has_text="Rescued").locator(".lo-value")).to_have_text("100.0 %")


def test_a_drill_is_started_watched_stopped_and_its_report_read(desk: Visit, gateway: GatewayProcess) -> None:
    desk.do(lambda page: start_drill(page, gateway.url))
    within_two_seconds(lambda: ask(gateway), (200, CLAUDE))
    assert ask(gateway) == (200, CLAUDE)
    desk.do(lambda page: stop_drill(page, gateway.url))
    within_two_seconds(lambda: ask(gateway), (200, GPT))


def test_a_tile_of_the_overview_leads_to_rows_to_a_request_to_its_story(desk: Visit, gateway: GatewayProcess) -> None:
    assert ask(gateway) == (200, GPT)

    def follow(page: Page) -> None:
        page.goto(gateway.url)
        page.locator("#tile-requests").click()
        row = page.locator("#requests tbody tr").first
        expect(row).to_contain_text("gpt-4-turbo")
        row.locator("a[data-row-link]").click()
        expect(page.locator(".lo-headline .lo-badge").first).to_have_text("answered 200")
        expect(page.locator(".lo-candidates li")).to_contain_text([GPT, CLAUDE])
        expect(page.locator(".lo-attempt")).to_contain_text(["openai gpt-4-turbo"])

    desk.do(follow)
