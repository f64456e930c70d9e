"""Operations edit the configuration in the back office, and the gateway obeys within two seconds."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit, ask, within_two_seconds
from tests.gateway_process import GatewayProcess

pytestmark = pytest.mark.browser
KEY = re.compile(r"sk-llmops-[\w-]{43}")
GPT, CLAUDE = "openai/gpt-4-turbo", "anthropic/claude-3-5-sonnet-20241022"


def open_row(page: Page, url: str, model: str, name: str) -> None:
    page.goto(f"{url}/admin/gateway/{model}/")
    page.locator("#result_list").get_by_role("link", name=name, exact=True).click()
    page.locator(f"#{model}_form").wait_for()


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("successfully")).to_be_visible()


def test_a_budget_that_is_edited_is_obeyed_within_two_seconds(desk: Visit, gateway: GatewayProcess) -> None:
    def limit_to(page: Page, limit: str) -> None:
        open_row(page, gateway.url, "budget", "all")
        page.get_by_label("Limit (USD)").fill(limit)
        save(page)

    assert ask(gateway)[0] == 200
    desk.do(lambda page: limit_to(page, "0.000001"))
    within_two_seconds(lambda: ask(gateway), (429, "budget_exceeded"))
    desk.do(lambda page: limit_to(page, "50"))
    within_two_seconds(lambda: ask(gateway), (200, GPT))


def drag_second_first(page: Page) -> None:
    handles = page.locator("#targets-data > .form-group.original h3 .cursor-move")
    start, end = handles.nth(1).bounding_box(), handles.nth(0).bounding_box()
    assert start is not None
    assert end is not None
    page.mouse.move(start["x"] + 15, start["y"] + 15)
    page.mouse.down()
    page.mouse.move(start["x"] + 15, start["y"] - 40, steps=5)
    page.mouse.move(end["x"] + 15, end["y"] + 2, steps=15)
    page.mouse.up()


def titles(page: Page) -> list[str]:
    return page.locator("#targets-data > .form-group.original h3 strong").all_text_contents()


def test_targets_put_in_order_by_dragging_change_the_next_request(desk: Visit, gateway: GatewayProcess) -> None:
    assert ask(gateway) == (200, GPT)

    def drag(page: Page) -> None:
        open_row(page, gateway.url, "route", "default")
        page.locator("#targets-heading").scroll_into_view_if_needed()
        drag_second_first(page)
        assert titles(page) == [CLAUDE, GPT]
        save(page)

    desk.do(drag)
    within_two_seconds(lambda: ask(gateway), (200, CLAUDE))

    def back_by_keyboard(page: Page) -> None:
        open_row(page, gateway.url, "route", "default")
        page.get_by_role("button", name=f"Move {GPT} up").focus()
        page.keyboard.press("Enter")
        assert titles(page) == [GPT, CLAUDE]
        save(page)

    desk.do(back_by_keyboard)
    within_two_seconds(lambda: ask(gateway), (200, GPT))


def test_a_routes_page_tells_what_a_request_would_do_now(desk: Visit, gateway: GatewayProcess) -> None:
    def look(page: Page) -> None:
        open_row(page, gateway.url, "route", "default")
        expect(page.locator("[data-dry-run-words]")).to_have_text(f"{GPT} would be asked. If that fails: {CLAUDE}.")
        page.get_by_role("link", name="Ask in detail").click()
        page.get_by_label("Input tokens").fill("150000")
        page.get_by_label("Output limit (tokens)").focus()
        expect(page.locator(f"[data-target='{GPT}']")).to_have_attribute("data-standing", "too_small")
        expect(page.locator(f"[data-target='{CLAUDE}']")).to_contain_text("would be asked")

    desk.do(look)


def new_key(page: Page) -> str:
    """The key on the page that shows it, once."""
    text = page.locator("main, #main, body").first.inner_text()
    found = KEY.findall(text)
    assert len(set(found)) == 1
    return str(found[0])


def test_a_key_is_shown_once_used_rotated_and_then_refused(desk: Visit, gateway: GatewayProcess) -> None:
    def create(page: Page) -> str:
        page.goto(f"{gateway.url}/admin/gateway/apikey/add/")
        page.get_by_label("Name").fill("browser agents")
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_text("New API key").first.wait_for()
        return new_key(page)

    def rotate(page: Page) -> str:
        open_row(page, gateway.url, "apikey", "browser agents")
        assert not KEY.search(page.content())
        page.get_by_role("link", name="Rotate now").click()
        page.get_by_role("button", name="Rotate now").click()
        page.get_by_text("New API key").first.wait_for()
        return new_key(page)

    first = desk.do(create)
    within_two_seconds(lambda: ask(gateway, first), (200, GPT))
    second = desk.do(rotate)
    assert first != second
    within_two_seconds(lambda: ask(gateway, first), (401, "invalid_api_key"))
    within_two_seconds(lambda: ask(gateway, second), (200, GPT))


def test_archiving_asks_first_and_can_be_taken_back(desk: Visit, gateway: GatewayProcess) -> None:
    def archive(page: Page) -> None:
        open_row(page, gateway.url, "route", "openai-only")
        page.get_by_role("link", name="Archive").click()
        expect(page.locator(".lo-chapter")).to_contain_text("Agents that ask for openai-only are told")
        page.get_by_role("link", name="Keep as it is").click()
        page.locator("#route_form").wait_for()
        page.get_by_role("link", name="Archive").click()
        page.get_by_role("button", name="Archive").click()
        expect(page.get_by_text("openai-only was archived.")).to_be_visible()
        page.goto(f"{gateway.url}/admin/gateway/route/?archived=yes")
        page.locator("#result_list").get_by_role("link", name="openai-only", exact=True).click()
        expect(page.get_by_text("It can be read here and restored, not changed.")).to_be_visible()
        page.get_by_role("link", name="Restore").click()
        page.get_by_role("button", name="Restore").click()
        expect(page.get_by_text("openai-only was restored.")).to_be_visible()

    desk.do(archive)
