"""One Chromium for all browser tests, and one page per test, logged in and watched.

Playwright's sync API runs an event loop in the thread that uses it, in which Django refuses database calls; so the
browser lives in a thread of its own and tests hand it what to do.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect, sync_playwright

from tests.dashboard.conftest import back_office as back_office

T = TypeVar("T")

BINARIES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LAUNCH_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)
PASSWORD = "a-long-enough-pass-phrase"
TIMEOUT_MS = 15_000  # the slowest refresh comes every ten seconds
expect.set_options(timeout=TIMEOUT_MS)


def chromium_path() -> str:
    """The machine's Chromium. Raises RuntimeError with what to do where there is none."""
    found = next((path for path in map(shutil.which, BINARIES) if path), None)
    if found is None:
        raise RuntimeError(
            f"No Chromium found (looked for {', '.join(BINARIES)} on PATH): install one, then try again."
        )
    return found


@dataclass
class Visit:
    """One test's page. `problems` are errors on its console, `strays` the requests that would have left the host."""

    page: Page
    base_url: str
    run: Callable[[Callable[[Page], Any]], Any]
    problems: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)

    def do(self, act: Callable[[Page], T]) -> T:
        """Run `act` in the browser's thread."""
        return self.run(act)  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def browser_thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1, thread_name_prefix="browser") as thread:
        yield thread


@pytest.fixture(scope="session")
def browser(browser_thread: ThreadPoolExecutor) -> Iterator[Browser]:
    playwright = browser_thread.submit(lambda: sync_playwright().start()).result()
    chromium = browser_thread.submit(
        lambda: playwright.chromium.launch(executable_path=chromium_path(), args=list(LAUNCH_ARGUMENTS))
    ).result()
    yield chromium
    browser_thread.submit(chromium.close).result()
    browser_thread.submit(playwright.stop).result()


@pytest.fixture
def operator(back_office: None, transactional_db: None) -> User:
    return User.objects.create_superuser("operator", "operator@example.org", PASSWORD)


@pytest.fixture
def visit(live_server: Any, operator: User, browser: Browser, browser_thread: ThreadPoolExecutor) -> Iterator[Visit]:
    """A wide, light page that watches itself; not logged in yet."""
    context = browser_thread.submit(
        lambda: browser.new_context(viewport=ViewportSize(width=1440, height=1000), color_scheme="light")
    ).result()
    page = browser_thread.submit(context.new_page).result()
    visit = Visit(page, live_server.url, lambda act: browser_thread.submit(act, page).result())
    visit.do(lambda page: watch(page, visit))
    yield visit
    browser_thread.submit(context.close).result()


def watch(page: Page, visit: Visit) -> None:
    host = urlsplit(visit.base_url).netloc

    def guard(route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in {"http", "https", "ws", "wss"} and address.netloc != host:
            visit.strays.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    page.set_default_timeout(TIMEOUT_MS)
    page.route("**/*", guard)
    page.on("console", lambda message: visit.problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: visit.problems.append(str(error)))


def log_in(page: Page, base_url: str) -> None:
    """Through the login form, as a person does; ends on the dashboard."""
    page.goto(base_url)
    page.get_by_label("Username").fill("operator")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Last requests").wait_for()
