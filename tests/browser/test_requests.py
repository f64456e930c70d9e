"""The log of requests and the breakers' page, as a person uses them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from gateway.models import BreakerStatus, Provider
from tests.browser.conftest import Visit, log_in
from tests.browser.scene import STORY_ID, stage
from tests.selectors.rows import add_completion

pytestmark = pytest.mark.browser


@pytest.fixture
def staged(visit: Visit) -> Iterator[Visit]:
    """Logged in, with something to show. Afterwards: nothing went wrong, nothing left the host."""
    stage()
    visit.do(lambda page: log_in(page, visit.base_url))
    yield visit
    assert visit.problems == []
    assert visit.strays == []


def test_a_filter_becomes_a_short_address_and_leads_to_the_story(staged: Visit) -> None:
    def search(page: Page) -> None:
        page.goto(f"{staged.base_url}/requests/")
        page.get_by_label("Conversation", exact=True).fill("thesis-42")
        page.get_by_role("button", name="Show").click()
        page.wait_for_url("**/requests/?window=24h&conversation=thesis-42")
        page.locator(f"#open-{STORY_ID}").click()
        expect(page.locator(".lo-headline h2")).to_contain_text("anthropic answered")
        expect(page.locator(".lo-pause")).to_have_count(2)

    staged.do(search)


def test_a_name_in_the_legend_of_the_chart_leads_to_its_requests(staged: Visit) -> None:
    def follow(page: Page) -> None:
        page.goto(f"{staged.base_url}/spend/?period=24h&by=team")
        page.locator("#spend-legend a", has_text="research").click()
        page.wait_for_url("**/requests/?*team=research*")
        expect(page.locator("#requests tbody tr").first).to_be_visible()
        teams = page.locator("#requests tbody .lo-cell-key").all_inner_texts()
        assert all("research" in team for team in teams)

    staged.do(follow)


def test_new_requests_appear_by_themselves_unless_the_list_is_held_still(staged: Visit) -> None:
    staged.do(lambda page: page.goto(f"{staged.base_url}/requests/"))
    add_completion("req_first", at=timezone.now())
    staged.do(lambda page: expect(page.locator("#open-req_first")).to_be_visible())

    def hold(page: Page) -> None:
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("[data-live-text]")).to_have_text("Paused")

    staged.do(hold)
    add_completion("req_second", at=timezone.now())

    def go_on(page: Page) -> None:
        expect(page.locator("#open-req_second")).to_have_count(0)
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("#open-req_second")).to_be_visible()

    staged.do(go_on)


def test_the_arrow_keys_go_from_row_to_row(staged: Visit) -> None:
    def walk(page: Page) -> None:
        page.goto(f"{staged.base_url}/requests/?window=7d&to=2099-01-01T00:00")
        links = page.locator("[data-row-link]")
        links.first.focus()
        page.keyboard.press("ArrowDown")
        expect(links.nth(1)).to_be_focused()
        page.keyboard.press("ArrowUp")
        expect(links.first).to_be_focused()

    staged.do(walk)


def test_a_breaker_is_watched_and_ordered_on_one_page(staged: Visit) -> None:
    staged.do(lambda page: page.goto(f"{staged.base_url}/breakers/"))
    BreakerStatus.objects.filter(provider="openai").update(state="closed", consecutive_failures=0)

    def order(page: Page) -> None:
        expect(page.locator("[data-provider=openai]")).to_contain_text("Working")
        page.locator("#act-anthropic").click()
        expect(page.get_by_label("Provider")).to_have_value("anthropic")
        page.get_by_label("Why").fill("maintenance at the provider")
        page.get_by_label("I mean it").check()
        page.get_by_role("button", name="Force open").click()
        expect(page.locator("[data-provider=anthropic]")).to_contain_text("Held open by hand: maintenance")

    staged.do(order)
    assert Provider.objects.get(name="anthropic").forced_breaker == "open"
