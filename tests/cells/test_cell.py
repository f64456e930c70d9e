"""What depends on the servers an installation has, seen from outside, through all of it: the same in every cell."""

from __future__ import annotations

import http.cookiejar
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import openai
import pytest

from gateway.simulator.faults import Fault, FaultKind
from tests.cells.conftest import BUDGET, OPERATOR, PASSWORD, Cell
from tests.gateway_process import AGENT_KEY, OTHER_TEAM_KEY, GatewayProcess

PATIENCE_SECONDS = 30.0
HELLO: list[Any] = [{"role": "user", "content": "[[say: Still here.]]"}]
PAGES = ("/", "/requests/", "/conversations/", "/spend/", "/savings/", "/simple/", "/breakers/", "/admin/")


@pytest.fixture
def whole(cell: Cell) -> Cell:
    """The cell with well providers and closed breakers."""
    cell.simulator.reset()
    for gateway in (cell.first, cell.second):
        for name in ("openai", "anthropic"):
            gateway.post(f"/api/breakers/{name}", {"action": "reset", "reason": "a new test"})
    return cell


def ask(gateway: GatewayProcess, key: str = AGENT_KEY, **extra: Any) -> Any:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as client:
        return client.chat.completions.with_raw_response.create(model="default", messages=HELLO, **extra)


def until(fact: Callable[[], Any]) -> Any:
    """What another process brings about, as soon as it is there."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (found := fact()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def test_it_runs_on_the_servers_it_was_given(whole: Cell) -> None:
    ready = whole.first.get("/readyz")
    assert ready["status"] == "ready"
    assert (ready["redis"] == "connected") is whole.has_redis


def test_the_tables_are_what_the_models_say(whole: Cell) -> None:
    assert "No changes detected" in whole.manage("makemigrations", "--check", "--dry-run", "--skip-checks")


def test_a_failing_primary_is_answered_for_and_both_attempts_are_booked(whole: Cell) -> None:
    whole.simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))
    answer = ask(whole.first)
    assert answer.parse().choices[0].message.content == "Still here."
    told = until(lambda: booked(whole.second, answer.headers["x-request-id"]))
    assert [attempt["outcome"] for attempt in told["attempts"]] == ["failed"] * 4 + ["succeeded"]
    assert told["cost_usd"] == answer.headers["x-llmops-cost-usd"]


def booked(gateway: GatewayProcess, request_id: str) -> Any:
    told = gateway.get(f"/api/completions/{request_id}")
    return told if told["status"] != "pending" else None


def test_after_five_failures_the_breaker_is_open_and_with_redis_for_all_processes(whole: Cell) -> None:
    whole.simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))
    for _ in range(2):
        ask(whole.first)
    assert whole.first.get("/api/breakers/openai")["state"] == "open"
    if whole.has_redis:
        until(lambda: whole.second.get("/api/breakers/openai")["state"] == "open")
    else:
        assert ask(whole.second).headers["x-llmops-attempts"] == "5"


def test_two_processes_never_spend_more_than_the_budget_they_share(whole: Cell) -> None:
    spent = Decimal(0)
    refused = ""
    while not refused:
        for gateway in (whole.first, whole.second):
            try:
                answer = ask(gateway, OTHER_TEAM_KEY, max_tokens=100)
            except openai.RateLimitError as error:
                refused = str(error.code)
            else:
                spent += Decimal(answer.headers["x-llmops-cost-usd"])
    assert refused == "budget_exceeded"
    assert 0 < spent <= Decimal(str(BUDGET["limit_usd"]))


@pytest.fixture
def client(whole: Cell) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{whole.first.url}/v1", api_key=AGENT_KEY, max_retries=0) as client:
        yield client


def test_a_batch_is_answered_by_the_worker_at_the_batch_price(whole: Cell, client: openai.OpenAI) -> None:
    body = {"model": "default", "messages": HELLO}
    lines = [
        json.dumps({"custom_id": f"{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})
        for number in range(3)
    ]
    file = client.files.create(file=("in.jsonl", "\n".join(lines).encode()), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    done = until(lambda: one if (one := client.batches.retrieve(batch.id)).status == "completed" else None)
    found = [json.loads(line) for line in client.files.content(done.output_file_id).text.splitlines()]
    usage = found[0]["response"]["body"]["usage"]
    told = whole.second.get(f"/api/completions/{found[0]['response']['request_id']}")
    half = Decimal(usage["prompt_tokens"]) * 5 + Decimal(usage["completion_tokens"]) * 15
    assert len(found) == 3
    assert Decimal(told["cost_usd"]) == half / 1_000_000


def test_the_back_office_shows_what_happened(whole: Cell) -> None:
    ask(whole.first)
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar := http.cookiejar.CookieJar()))
    address = f"{whole.second.url}/admin/login/"
    browser.open(address).close()
    token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
    form = {"username": OPERATOR, "password": PASSWORD, "csrfmiddlewaretoken": token, "next": "/"}
    browser.open(address, urllib.parse.urlencode(form).encode()).close()
    statuses = {}
    for page in PAGES:
        with browser.open(whole.second.url + page) as shown:
            statuses[page] = (shown.status, urllib.parse.urlsplit(shown.url).path)
    assert statuses == {page: (200, page) for page in PAGES}


def test_the_books_agree_with_every_row(whole: Cell) -> None:
    ask(whole.first)
    assert "agree" in whole.manage("books", "--skip-checks")
