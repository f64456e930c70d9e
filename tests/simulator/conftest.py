"""One simulator in a thread for the whole room, emptied before every test."""

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from gateway.simulator import Simulator, SimulatorThread

OPENAI_KEY = "sk-test-0123456789abcdef"
ANTHROPIC_KEY = "sk-ant-0123456789wxyz"


class Time:
    """A clock that moves only when something sleeps on it, or a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(scope="session")
def moving_time() -> Time:
    return Time()


@pytest.fixture(scope="session")
def running(moving_time: Time) -> Iterator[Simulator]:
    with SimulatorThread(clock=moving_time.clock, sleep=moving_time.sleep) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator, moving_time: Time) -> Simulator:
    running.log.wait_idle()
    running.reset()
    moving_time.slept.clear()
    return running


@pytest.fixture(scope="session")
def http(running: Simulator) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=running.url, timeout=5, trust_env=False) as client:
        yield client


class Provider:
    """Raw calls to one endpoint of a provider, with a valid small request to vary."""

    def __init__(self, http: httpx2.Client, path: str, headers: dict[str, str], body: dict[str, Any]) -> None:
        self.http = http
        self.path = path
        self.headers = headers
        self.body = body

    def post(self, changes: dict[str, Any] | None = None, **headers: str) -> httpx2.Response:
        """Send the small request with these changes; a change to ``...`` removes the field."""
        body = {name: value for name, value in {**self.body, **(changes or {})}.items() if value is not ...}
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.http.post(self.path, json=body, headers=sent)


@pytest.fixture
def openai_raw(simulator: Simulator, http: httpx2.Client) -> Provider:
    body = {"model": "gpt-4-turbo", "messages": [{"role": "user", "content": "Hello"}]}
    return Provider(http, "/openai/v1/chat/completions", {"authorization": f"Bearer {OPENAI_KEY}"}, body)


@pytest.fixture
def responses_raw(simulator: Simulator, http: httpx2.Client) -> Provider:
    body = {"model": "gpt-4-turbo", "input": "Hello"}
    return Provider(http, "/openai/v1/responses", {"authorization": f"Bearer {OPENAI_KEY}"}, body)


@pytest.fixture
def embeddings_raw(simulator: Simulator, http: httpx2.Client) -> Provider:
    body = {"model": "text-embedding-3-small", "input": "Hello"}
    return Provider(http, "/openai/v1/embeddings", {"authorization": f"Bearer {OPENAI_KEY}"}, body)


@pytest.fixture
def anthropic_raw(simulator: Simulator, http: httpx2.Client) -> Provider:
    headers = {"x-api-key": ANTHROPIC_KEY, "anthropic-version": "2023-06-01"}
    body = {
        "model": "claude-3-5-sonnet-20241022",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    return Provider(http, "/anthropic/v1/messages", headers, body)


@pytest.fixture
def openai_sdk(simulator: Simulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=OPENAI_KEY, base_url=simulator.url + "/openai/v1", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_sdk(simulator: Simulator) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key=ANTHROPIC_KEY, base_url=simulator.url + "/anthropic", max_retries=0) as client:
        yield client
