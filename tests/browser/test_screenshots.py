"""Pictures of every page, light and dark, wide and phone, into the folder that LLMOPS_SCREENSHOTS names."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Page, ViewportSize

from gateway.models import BreakerStatus, Completion, Provider, Route
from tests.browser.conftest import Visit, log_in
from tests.browser.scene import DRILLED_ID, SONNET, STORY_ID, stage, stage_drill, stage_prices

pytestmark = pytest.mark.browser

SIZES = {"wide": ViewportSize(width=1440, height=900), "phone": ViewportSize(width=390, height=844)}
THEMES = ("light", "dark")
ALL_LOOKS = tuple((size, theme) for size in SIZES for theme in THEMES)
FEW_LOOKS = (("wide", "light"), ("phone", "dark"))  # a page's theme doesn't change its width


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = Path(os.environ.get("LLMOPS_SCREENSHOTS") or tmp_path)
    path.mkdir(parents=True, exist_ok=True)
    return path


def picture_all(
    visit: Visit, folder: Path, pages: dict[str, str], looks: tuple[tuple[str, str], ...] = FEW_LOOKS
) -> list[str]:
    """Writes the pictures; returns the names of those wider than their screen."""
    overflowing: list[str] = []
    for name, address in pages.items():
        for size, theme in ALL_LOOKS if os.environ.get("LLMOPS_SCREENSHOTS") else looks:
            file = folder / f"{name}-{size}-{theme}.png"
            wider = visit.do(partial(picture, address=address, viewport=SIZES[size], theme=theme, file=file))
            overflowing += [file.stem] if wider else []
    return overflowing


def picture(page: Page, *, address: str, viewport: ViewportSize, theme: str, file: Path) -> bool:
    page.set_viewport_size(viewport)
    page.evaluate(f"localStorage.setItem('adminTheme', JSON.stringify('{theme}'))")
    page.goto(address)
    page.evaluate("document.fonts.ready")
    page.screenshot(path=file, full_page=True)
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def test_pages_fit_their_screens_in_every_theme_and_size(visit: Visit, folder: Path) -> None:
    stage()
    visit.do(lambda page: log_in(page, visit.base_url))
    story = visit.base_url + reverse("dashboard:completion", args=[STORY_ID])

    pages = {
        "dashboard": visit.base_url,
        "spend": visit.base_url + reverse("dashboard:spend") + "?period=7d&by=model",
        "spend-team": visit.base_url + reverse("dashboard:spend") + "?period=24h&by=team&provider=anthropic",
        "completion": story,
        "provider": visit.base_url + reverse("dashboard:provider", args=["openai"]),
        "requests": visit.base_url + reverse("dashboard:requests"),
        "requests-filtered": visit.base_url + reverse("dashboard:requests") + "?outcome=failed&stream=no&cost=x",
        "breakers": visit.base_url + reverse("dashboard:breakers"),
        "conversations": visit.base_url + reverse("dashboard:conversations"),
        "conversation": visit.base_url + reverse("dashboard:conversation", args=["c-3"]),
    }
    assert picture_all(visit, folder, pages) == []


def test_the_pages_for_editing_a_route_fit_their_screens(visit: Visit, folder: Path) -> None:
    stage()
    visit.do(lambda page: log_in(page, visit.base_url))
    route = Route.objects.create(name="everyday", aliases=["gpt-4-turbo"])
    for position, (provider, model) in enumerate([("openai", "gpt-4-turbo"), ("anthropic", SONNET)]):
        route.targets.create(provider=Provider.objects.get(name=provider), model=model, position=position)
    names = {"route": "change", "route-dry-run": "dry_run", "route-archive": "archive_row"}
    address = visit.base_url
    pages = {name: address + reverse(f"admin:gateway_route_{part}", args=[route.pk]) for name, part in names.items()}

    assert picture_all(visit, folder, pages) == []


def test_a_fire_drills_pages_fit_their_screens(visit: Visit, folder: Path) -> None:
    drill = stage_drill()
    visit.do(lambda page: log_in(page, visit.base_url))
    report = visit.base_url + reverse("dashboard:drill", args=[drill.pk])
    story = visit.base_url + reverse("dashboard:completion", args=[DRILLED_ID])
    pages = {"drill-banner": visit.base_url, "drill-report": report, "drill-request": story}

    assert picture_all(visit, folder, pages) == []


def test_a_phone_shows_the_small_tables_whole(visit: Visit) -> None:
    """Why a breaker moved and what a probe found are not beyond the edge of the screen."""
    drill = stage_drill()
    visit.do(lambda page: log_in(page, visit.base_url))
    visit.do(lambda page: page.set_viewport_size(SIZES["phone"]))
    for address in (reverse("dashboard:drill", args=[drill.pk]), reverse("dashboard:provider", args=["openai"])):
        visit.do(partial(open_page, address=visit.base_url + address))

        assert visit.do(cut_tables) == 0, address


def test_a_phone_shows_what_each_conversation_costs_and_what_is_left(visit: Visit) -> None:
    stage()
    visit.do(lambda page: log_in(page, visit.base_url))
    visit.do(lambda page: page.set_viewport_size(SIZES["phone"]))
    visit.do(partial(open_page, address=visit.base_url + reverse("dashboard:conversations")))

    costs = "#conversations :is(.lo-cell-cost, .lo-cell-left)"
    edges = visit.do(lambda page: [cell.bounding_box() for cell in page.locator(costs).all()])
    assert edges
    assert all(edge is not None and edge["x"] + edge["width"] <= SIZES["phone"]["width"] for edge in edges)


def test_the_list_of_fallbacks_shows_their_cost_whole(visit: Visit, folder: Path) -> None:
    stage()
    visit.do(lambda page: log_in(page, visit.base_url))
    address = visit.base_url + reverse("admin:gateway_fallback_changelist")
    visit.do(lambda page: page.goto(address))
    visit.do(lambda page: page.screenshot(path=folder / "fallbacks-wide.png", full_page=True))

    cell = visit.do(lambda page: page.locator(".field-extra_cost").first.bounding_box())
    assert cell is not None
    assert cell["x"] + cell["width"] <= SIZES["wide"]["width"]


def open_page(page: Page, *, address: str) -> None:
    page.goto(address)
    page.locator(".lo-table-plain:visible").first.wait_for()


def cut_tables(page: Page) -> int:
    """How many of the visible small tables reach beyond what holds them."""
    cut = "tables => tables.filter(table => table.offsetWidth > table.parentElement.clientWidth).length"
    return int(page.locator(".lo-table-plain:visible").evaluate_all(cut))


def test_pages_of_prices_fit_their_screens(visit: Visit, folder: Path) -> None:
    target = stage_prices()
    visit.do(lambda page: log_in(page, visit.base_url))
    prices = visit.base_url + reverse("admin:gateway_price_changelist")
    pages = {
        "models": visit.base_url + reverse("dashboard:models") + "?q=gpt-6",
        "successor": visit.base_url + reverse("dashboard:succeed", args=[target.pk]),
        "prices-refresh": f"{prices}refresh/",
        "prices-unpriced": f"{prices}unpriced/",
    }

    assert picture_all(visit, folder, pages) == []


def test_empty_and_missing_pages_fit_their_screens(visit: Visit, folder: Path) -> None:
    for model in (BreakerStatus, Completion, Provider):
        assert not model.objects.exists()
    visit.do(lambda page: log_in(page, visit.base_url))
    missing = visit.base_url + reverse("dashboard:completion", args=["req_nowhere"])

    assert picture_all(visit, folder, {"empty": visit.base_url, "missing": missing}) == []
