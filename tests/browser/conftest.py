"""One Chromium for all browser tests, and one page per test, logged in and watched.

Playwright's sync API runs an event loop in the thread that uses it, in which Django refuses database calls; so the
browser lives in a thread of its own and tests hand it what to do.
"""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect, sync_playwright

from gateway.simulator.server import Simulator
from gateway.simulator.thread import SimulatorThread
from tests.dashboard.conftest import back_office as back_office
from tests.gateway_process import AGENT_KEY, GatewayProcess, configuration, gateway_process, manage

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
LIVE_SECONDS = 2.0  # an edit holds in every process by then
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


@pytest.fixture(scope="package")
def simulator() -> Iterator[Simulator]:
    """The providers behind `gateway`. Who breaks them mends them."""
    with SimulatorThread() as simulator:
        yield simulator


@pytest.fixture(scope="package")
def gateway(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A whole gateway in front of a simulator, with somebody who may log in; all of this folder's tests share it."""
    budget = {"name": "all", "scope": "global", "limit_usd": "50", "window": "total"}
    document = configuration(simulator.url, budgets=[budget])
    with gateway_process(tmp_path_factory.mktemp("gateway"), document) as gateway:
        env = {
            "DJANGO_SUPERUSER_USERNAME": "operator",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
            "DJANGO_SUPERUSER_EMAIL": "operator@example.org",
        }
        manage(gateway.data_dir, "createsuperuser", "--noinput", env=env)
        yield gateway


@pytest.fixture
def desk(gateway: GatewayProcess, browser: Browser, browser_thread: ThreadPoolExecutor) -> Iterator[Visit]:
    """The operator's browser, logged in. Afterwards: nothing went wrong, nothing left the host."""
    context = browser_thread.submit(
        lambda: browser.new_context(viewport=ViewportSize(width=1440, height=1100), color_scheme="light")
    ).result()
    page = browser_thread.submit(context.new_page).result()
    visit = Visit(page, gateway.url, lambda act: browser_thread.submit(act, page).result())
    visit.do(lambda page: watch(page, visit))
    visit.do(lambda page: enter(page, gateway.url))
    yield visit
    browser_thread.submit(context.close).result()
    assert visit.problems == []
    assert visit.strays == []


def enter(page: Page, url: str) -> None:
    page.goto(url + "/admin/")
    page.get_by_label("Username").fill("operator")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/")


def ask(gateway: GatewayProcess, key: str = AGENT_KEY) -> tuple[int, str]:
    """One request of an agent: the status, and the target that answered or the error's code."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    body = {"model": "default", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 20}
    request = urllib.request.Request(gateway.url + "/v1/chat/completions", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, f"{reply.headers['x-llmops-provider']}/{reply.headers['x-llmops-model']}"
    except urllib.error.HTTPError as error:
        return error.code, str(json.load(error)["error"]["code"])


def within_two_seconds(look: Callable[[], Any], wanted: Any) -> None:
    deadline = time.monotonic() + LIVE_SECONDS
    seen = look()
    while seen != wanted and time.monotonic() < deadline:
        seen = look()
    assert seen == wanted
