"""The content policy breaks no page, and no page breaks the policy."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Visit, log_in
from tests.browser.scene import STORY_ID, stage

pytestmark = pytest.mark.browser

ADDRESSES = (
    "/",
    "/requests/",
    f"/completions/{STORY_ID}/",
    "/spend/",
    "/breakers/",
    "/providers/openai/",
    "/conversations/",
    "/models/",
    "/admin/",
    "/admin/gateway/provider/",
    "/admin/gateway/provider/add/",
    "/admin/gateway/route/add/",
    "/admin/gateway/budget/add/",
    "/admin/gateway/price/add/",
    "/admin/gateway/apikey/add/",
    "/admin/gateway/drill/add/",
    "/admin/gateway/completion/",
    "/admin/gateway/configurationchange/",
    "/admin/auth/user/add/",
    "/admin/auth/group/add/",
    "/admin/password_change/",
    "/api/docs",
)


def test_no_page_of_the_back_office_violates_the_policy(visit: Visit) -> None:
    """Chromium reports a violation as an error on the console."""
    stage()
    visit.do(lambda page: log_in(page, visit.base_url))

    def look(page: Page) -> None:
        for address in ADDRESSES:
            told = len(visit.problems)
            answer = page.goto(visit.base_url + address)
            assert answer is not None
            assert answer.status == 200, address
            page.wait_for_load_state("networkidle" if address == "/api/docs" else "load")
            assert visit.problems[told:] == [], address

    visit.do(look)
    assert visit.strays == []


def test_the_policy_stops_an_inline_script(visit: Visit) -> None:
    """The test above could pass without any policy."""

    def inject(page: Page) -> object:
        page.goto(visit.base_url)
        page.evaluate("""() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
        }""")
        return page.evaluate("window.ran")

    assert visit.do(inject) is None
    assert any("Content Security Policy" in problem for problem in visit.problems)


def test_the_pages_to_try_the_api_out_and_of_errors_are_drawn(visit: Visit) -> None:
    visit.do(lambda page: log_in(page, visit.base_url))

    def look(page: Page) -> None:
        page.goto(f"{visit.base_url}/api/docs")
        page.locator(".opblock").first.wait_for()
        page.goto(f"{visit.base_url}/providers/nobody/")
        page.get_by_role("heading", name="Not found").first.wait_for()

    visit.do(look)
