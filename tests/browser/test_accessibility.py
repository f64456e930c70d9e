"""A newcomer's overview has no serious or critical finding of axe: light on a wide screen, dark on a phone."""

from __future__ import annotations

from functools import partial

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import Page, ViewportSize

from gateway.models import Completion
from tests.browser.conftest import Visit, log_in

pytestmark = pytest.mark.browser

WIDE, PHONE = ViewportSize(width=1440, height=900), ViewportSize(width=390, height=844)
LOOKS = ((WIDE, "light"), (PHONE, "dark"))  # each size and each theme once: axe takes a second per look
GRAVE = {"serious", "critical"}


def dress(page: Page, *, viewport: ViewportSize, theme: str) -> None:
    """Shows the open page in another size and theme, with every change of colour over."""
    page.set_viewport_size(viewport)
    page.evaluate("dark => document.documentElement.classList.toggle('dark', dark)", theme == "dark")
    page.evaluate("document.getAnimations().forEach(one => one.effect.getTiming().iterations < 9 && one.finish())")


def findings(page: Page, *, viewport: ViewportSize, theme: str) -> list[str]:
    """What axe calls serious or critical, each as its rule and the element it is about."""
    dress(page, viewport=viewport, theme=theme)
    return [
        f"{finding['id']}: {node['html'][:160]}"
        for finding in Axe().run(page).response["violations"]
        if finding["impact"] in GRAVE
        for node in finding["nodes"]
    ]


def graves(visit: Visit, pages: dict[str, str]) -> dict[str, list[str]]:
    """The findings of each page that has some, by the page's name and look."""
    found: dict[str, list[str]] = {}
    for name, address in pages.items():
        visit.do(partial(Page.goto, url=visit.base_url + address))
        for viewport, theme in LOOKS:
            look = partial(findings, viewport=viewport, theme=theme)
            found[f"{name}, {viewport['width']} px, {theme}"] = visit.do(look)
    return {look: problems for look, problems in found.items() if problems}


def test_the_overview_without_traffic_has_no_grave_finding(visit: Visit) -> None:
    assert not Completion.objects.exists()
    visit.do(lambda page: log_in(page, visit.base_url))
    pages = {name: reverse(f"dashboard:{name}") for name in ("overview",)}

    assert graves(visit, pages) == {}
