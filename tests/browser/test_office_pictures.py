"""Pictures of the admin's lists and forms, of the login form, error pages and the operators' API's documentation."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Page

from gateway.models import Provider
from tests.browser.conftest import PASSWORD, Visit, log_in
from tests.browser.office_scene import ADDED, LISTED, act_pages, add_pages, list_pages, row_pages, stage_office
from tests.browser.test_screenshots import folder as folder
from tests.browser.test_screenshots import picture_all

pytestmark = pytest.mark.browser


def narrow(visit: Visit, folder: Path, pages: dict[str, str]) -> list[str]:
    """The theme's own pages overflow on a phone if anywhere, and they are many: the suite looks at them there only."""
    addresses = {name: visit.base_url + path for name, path in pages.items()}
    return picture_all(visit, folder, addresses, looks=(("phone", "dark"),))


def test_lists_fit_their_screens(visit: Visit, folder: Path) -> None:
    stage_office()
    visit.do(lambda page: log_in(page, visit.base_url))

    assert narrow(visit, folder, list_pages()) == []


def test_the_pages_of_rows_fit_their_screens(visit: Visit, folder: Path) -> None:
    stage_office()
    visit.do(lambda page: log_in(page, visit.base_url))

    assert narrow(visit, folder, row_pages()) == []


def test_forms_for_new_rows_and_questions_fit_their_screens(visit: Visit, folder: Path) -> None:
    stage_office()
    visit.do(lambda page: log_in(page, visit.base_url))

    assert narrow(visit, folder, add_pages() | act_pages()) == []


def test_empty_lists_fit_their_screens(visit: Visit, folder: Path) -> None:
    assert not Provider.objects.exists()
    visit.do(lambda page: log_in(page, visit.base_url))
    lists = {f"empty-{name}": reverse(f"admin:gateway_{name}_changelist") for name in ("provider", "apikey", "alert")}
    names = ("spend", "requests", "conversations", "breakers", "savings", "simple", "models")
    pages = {f"empty-{name}": reverse(f"dashboard:{name}") for name in names}

    assert narrow(visit, folder, lists | pages) == []


def test_what_strangers_and_newcomers_see_fits_their_screens(visit: Visit, folder: Path) -> None:
    visit.do(lambda page: page.goto(visit.base_url + reverse("admin:login")))  # a theme is kept per host
    alone = {"login": reverse("admin:login"), "not-found-stranger": "/nowhere/"}
    outside = narrow(visit, folder, alone)
    User.objects.filter(username="operator").update(is_superuser=False)
    visit.do(partial(enter_without_a_role, base_url=visit.base_url))
    inside = {"no-role": reverse("dashboard:overview"), "no-role-admin": reverse("admin:index")}
    inside["not-found"] = "/nowhere/"

    assert outside + narrow(visit, folder, inside) == []


def enter_without_a_role(page: Page, *, base_url: str) -> None:
    page.goto(base_url + reverse("admin:login"))
    page.get_by_label("Username").fill("operator")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/")


def test_the_operators_apis_documentation_fits_its_screen(visit: Visit, folder: Path) -> None:
    visit.do(lambda page: log_in(page, visit.base_url))

    assert narrow(visit, folder, {"api-docs": "/api/docs"}) == []


def test_every_model_of_the_admin_has_its_picture() -> None:
    admin.autodiscover()
    models = {model._meta.model_name for model in admin.site._registry if model._meta.app_label == "gateway"}
    assert models - {"organisation"} == set(LISTED) >= set(ADDED)
