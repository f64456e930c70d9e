"""No page has a serious or critical finding of axe: light on a wide screen, dark on a phone."""

from __future__ import annotations

from functools import partial

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import Page, ViewportSize

from gateway.models import Completion, Provider, Route
from tests.browser.conftest import Visit, log_in
from tests.browser.scene import DRILLED_ID, SONNET, stage_drill
from tests.browser.test_simple_pages import stage_simple

pytestmark = pytest.mark.browser

WIDE, PHONE = ViewportSize(width=1440, height=900), ViewportSize(width=390, height=844)
LOOKS = ((WIDE, "light"), (PHONE, "dark"))  # each size and each theme once: axe takes a second per look
GRAVE = {"serious", "critical"}
OPTIONS = {"resultTypes": ["violations"], "preload": False}  # what else axe could say of each element is not worked out


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
        for finding in Axe().run(page, options=OPTIONS).response["violations"]
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


def test_the_dashboards_pages_have_no_grave_finding(visit: Visit) -> None:
    drill = stage_drill()
    visit.do(lambda page: log_in(page, visit.base_url))
    pages = {
        "overview": reverse("dashboard:overview"),
        "spend": reverse("dashboard:spend"),
        "requests": reverse("dashboard:requests"),
        "request": reverse("dashboard:completion", args=[DRILLED_ID]),
        "breakers": reverse("dashboard:breakers"),
        "provider": reverse("dashboard:provider", args=["openai"]),
        "conversations": reverse("dashboard:conversations"),
        "conversation": reverse("dashboard:conversation", args=["c-3"]),
        "models": reverse("dashboard:models") + "?q=gpt-6",
        "drill": reverse("dashboard:drill", args=[drill.pk]),
    }

    assert graves(visit, pages) == {}


def test_the_pages_of_the_cheap_model_and_of_savings_have_no_grave_finding(visit: Visit) -> None:
    stage_simple()
    visit.do(lambda page: log_in(page, visit.base_url))
    pages = {name: reverse(f"dashboard:{name}") for name in ("simple", "savings")}

    assert graves(visit, pages) == {}


def test_the_pages_for_editing_have_no_grave_finding(visit: Visit) -> None:
    stage_drill()
    route = Route.objects.create(name="everyday", aliases=["gpt-4-turbo"])
    for position, (provider, model) in enumerate([("openai", "gpt-4-turbo"), ("anthropic", SONNET)]):
        route.targets.create(provider=Provider.objects.get(name=provider), model=model, position=position)
    login = graves(visit, {"login": reverse("admin:login")})
    visit.do(lambda page: log_in(page, visit.base_url))
    pages = {
        "index": reverse("admin:index"),
        "list": reverse("admin:gateway_route_changelist"),
        "form": reverse("admin:gateway_route_change", args=[route.pk]),
        "dry run": reverse("admin:gateway_route_dry_run", args=[route.pk]),
        "archive": reverse("admin:gateway_route_archive_row", args=[route.pk]),
    }

    assert login | graves(visit, pages) == {}


def test_pages_without_traffic_have_no_grave_finding(visit: Visit) -> None:
    assert not Completion.objects.exists()
    visit.do(lambda page: log_in(page, visit.base_url))
    names = ("overview", "spend", "requests", "breakers", "conversations")
    pages = {name: reverse(f"dashboard:{name}") for name in names}

    assert graves(visit, pages) == {}
