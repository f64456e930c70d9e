"""What a person sees and does on the dashboard, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from gateway.models import BreakerStatus
from tests.browser.conftest import Visit, log_in
from tests.browser.scene import STORY_ID, stage
from tests.selectors.rows import add_completion, open_breaker

pytestmark = pytest.mark.browser


@pytest.fixture
def dashboard(visit: Visit) -> Iterator[Visit]:
    """Logged in on a dashboard with something to show. Afterwards: nothing went wrong, nothing left the host."""
    stage()
    visit.do(lambda page: log_in(page, visit.base_url))
    yield visit
    assert visit.problems == []
    assert visit.strays == []


def test_the_tiles_and_the_provider_strip_are_there_after_logging_in(dashboard: Visit) -> None:
    def look(page: Page) -> None:
        expect(page.locator("#tile-spend-today")).to_contain_text(re.compile(r"Spend today\s+\$\d"))
        expect(page.locator("[data-provider=openai]")).to_contain_text("Paused")
        expect(page.locator("[data-provider=anthropic]")).to_contain_text("Working")
        expect(page.locator("#spend-legend li")).to_have_count(2)

    dashboard.do(look)


def test_a_request_can_be_followed_to_its_explanation_with_the_keyboard(dashboard: Visit) -> None:
    def follow(page: Page) -> None:
        page.locator(f"#open-{STORY_ID}").focus()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/completions/{STORY_ID}/")
        expect(page.locator(".lo-headline h2")).to_contain_text("After openai/gpt-4-turbo failed, anthropic answered")
        expect(page.locator(".lo-attempt")).to_have_count(3)
        expect(page.locator(".lo-fallback")).to_contain_text("Server error 503, breaker open.")
        page.get_by_role("link", name="Overview").last.click()
        expect(page.get_by_role("heading", name="Last requests")).to_be_visible()

    dashboard.do(follow)


def test_a_breakers_change_of_state_shows_and_is_announced_without_reloading(dashboard: Visit) -> None:
    dashboard.do(lambda page: page.evaluate("window.notReloaded = true"))
    BreakerStatus.objects.filter(provider="openai").update(state="closed", since=timezone.now(), consecutive_failures=0)

    def watch(page: Page) -> None:
        expect(page.locator("[data-provider=openai]")).to_contain_text("Working")
        expect(page.locator("[data-announcer]")).to_have_text("openai: Working.")
        assert page.evaluate("window.notReloaded") is True

    dashboard.do(watch)


def test_a_new_request_appears_without_reloading_and_the_focus_stays(dashboard: Visit) -> None:
    dashboard.do(lambda page: page.locator(f"#open-{STORY_ID}").focus())
    add_completion("req_brand_new_one", at=timezone.now())

    def watch(page: Page) -> None:
        expect(page.locator("#open-req_brand_new_one")).to_be_visible()
        expect(page.locator(f"#open-{STORY_ID}")).to_be_focused()

    dashboard.do(watch)


def test_the_next_test_is_counted_down(dashboard: Visit) -> None:
    open_breaker("openai", probe_in_seconds=900)

    def watch(page: Page) -> None:
        countdown = page.locator("[data-provider=openai] [data-countdown]")
        expect(countdown).to_have_text(re.compile(r"in 1[45] min \d+ s"))
        before = countdown.text_content()
        expect(countdown).not_to_have_text(before or "")

    dashboard.do(watch)


def test_a_countdown_that_is_over_waits_for_the_next_request(dashboard: Visit) -> None:
    open_breaker("openai", probe_in_seconds=-1)

    dashboard.do(
        lambda page: expect(page.locator("[data-provider=openai] [data-countdown]")).to_have_text(
            "with the next request"
        )
    )


def test_the_chart_follows_the_theme(dashboard: Visit) -> None:
    def switch(page: Page) -> None:
        tick = "Chart.getChart('spend-chart').options.scales.x.ticks.color"
        light = page.evaluate(tick)
        page.keyboard.press("Control+e")  # from following the system to light
        page.keyboard.press("Control+e")
        page.wait_for_function(f"(light) => {tick} !== light", arg=light)

    dashboard.do(switch)


def test_a_page_that_lost_its_server_says_that_it_is_not_live(visit: Visit) -> None:
    visit.do(lambda page: log_in(page, visit.base_url))

    def lose(page: Page) -> None:
        page.unroute("**/*")
        page.route("**/dashboard/**", lambda route: route.abort())
        expect(page.locator("[data-live-text]")).to_contain_text("Not live")
        page.unroute("**/dashboard/**")
        expect(page.locator("[data-live-text]")).to_have_text("Live")

    visit.do(lose)


def test_a_refresh_after_the_session_ended_leads_to_the_login_form(dashboard: Visit) -> None:
    def leave(page: Page) -> None:
        page.context.clear_cookies()
        page.get_by_label("Password").wait_for()

    dashboard.do(leave)


def test_a_newcomer_can_copy_the_first_request(visit: Visit) -> None:
    visit.do(lambda page: log_in(page, visit.base_url))

    def copy(page: Page) -> str:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name="Copy").click()
        page.get_by_role("button", name="Copied").wait_for()
        return str(page.evaluate("navigator.clipboard.readText()"))

    assert visit.do(copy).startswith(f"curl {visit.base_url}/v1/chat/completions")


@pytest.mark.parametrize("name", ["overview", "completion"])
def test_pages_carry_no_script_of_their_own_in_the_markup(dashboard: Visit, name: str) -> None:
    """No handlers in attributes and no inline script: a content security policy can forbid both."""
    address = reverse(f"dashboard:{name}", args=[STORY_ID] if name == "completion" else [])

    def inspect(page: Page) -> list[str]:
        page.goto(dashboard.base_url + address)
        return list(
            page.evaluate(
                """[...document.querySelector(".lo").querySelectorAll("*")].flatMap((element) =>
                    [...element.attributes].map((one) => one.name).filter((one) => one.startsWith("on"))
                    .concat(element.matches("script:not([type='application/json'])") ? ["script"] : []))"""
            )
        )

    assert dashboard.do(inspect) == []
