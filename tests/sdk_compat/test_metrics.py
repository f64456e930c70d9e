"""What Prometheus reads, from whole gateways."""

from __future__ import annotations

import http.client
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from django.test import RequestFactory
from openai import OpenAI
from prometheus_client.parser import text_string_to_metric_families

from gateway.api.metrics_page import may_read
from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from llmops import VERSION
from tests.gateway_process import AGENT_KEY, GatewayProcess, another_gateway, configuration, gateway_process

TOKEN = "a-token-for-prometheus"
SECOND = {"LLMOPS_METRICS_TOKEN": TOKEN, "LLMOPS_ALLOWED_HOSTS": "llmops.test,127.0.0.1"}
MESSAGES = [{"role": "user", "content": "Hi [[tokens: 20]]"}]


@pytest.fixture(scope="module")
def pair(_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GatewayProcess, ...]]:
    """Two processes of one machine; the second one asks for a token."""
    folder = tmp_path_factory.mktemp("metrics")
    with (
        gateway_process(folder, configuration(_simulator.url)) as first,
        another_gateway(first.data_dir, folder / "second.log", env=SECOND) as second,
    ):
        yield first, second


def read(gateway: GatewayProcess, headers: dict[str, str] | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", "/metrics", headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def total(gateway: GatewayProcess, name: str, **labels: str) -> float:
    """The sum of all samples of the name whose labels include these."""
    status, text = read(gateway)
    assert status == 200, text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(one.value for one in samples if one.name == name and labels.items() <= dict(one.labels).items())


def ask(gateway: GatewayProcess, *, stream: bool = False) -> None:
    with OpenAI(api_key=AGENT_KEY, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        if stream:
            for _ in client.chat.completions.create(model="default", messages=MESSAGES, stream=True):  # type: ignore[call-overload]
                pass
        else:
            client.chat.completions.create(model="default", messages=MESSAGES)  # type: ignore[call-overload]


def test_requests_of_all_processes_are_counted_together(pair: tuple[GatewayProcess, ...]) -> None:
    first, second = pair
    before = total(first, "llmops_completions_total", outcome="answered", route="default")

    ask(first)
    ask(second)

    assert total(first, "llmops_completions_total", outcome="answered", route="default") == before + 2


def test_tokens_cost_attempts_and_times_are_told(pair: tuple[GatewayProcess, ...]) -> None:
    first, _ = pair
    names = {
        "llmops_tokens_total": {"kind": "output", "provider": "openai"},
        "llmops_cost_usd_total": {"model": "gpt-4-turbo"},
        "llmops_attempts_total": {"outcome": "succeeded"},
        "llmops_time_to_first_token_seconds_count": {"provider": "openai"},
        "llmops_response_seconds_count": {"stream": "true"},
        "llmops_overhead_seconds_count": {},
    }
    before = {name: total(first, name, **labels) for name, labels in names.items()}

    ask(first, stream=True)

    assert {name for name, labels in names.items() if total(first, name, **labels) > before[name]} == set(names)


def test_a_fallback_and_its_cause_are_told(pair: tuple[GatewayProcess, ...], simulator: Simulator) -> None:
    first, _ = pair
    before = total(first, "llmops_fallbacks_total", route="default")
    with_failure = {"provider": "openai", "failure": "rejected_us"}
    failures = total(first, "llmops_attempts_total", **with_failure)
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=401, times=1))

    ask(first)

    assert total(first, "llmops_fallbacks_total", route="default") == before + 1
    assert total(first, "llmops_attempts_total", **with_failure) == failures + 1


def test_which_version_runs_is_told(pair: tuple[GatewayProcess, ...]) -> None:
    assert f'llmops_build_info{{version="{VERSION}"}} 1.0' in read(pair[0])[1]


def test_whether_celery_is_heard_of_is_told(pair: tuple[GatewayProcess, ...]) -> None:
    """These gateways have no worker."""
    assert "llmops_tasks_running 0.0" in read(pair[0])[1]


def test_breakers_and_the_database_are_told(pair: tuple[GatewayProcess, ...]) -> None:
    _, text = read(pair[0])

    assert 'llmops_breaker_state{provider="openai"} 0.0' in text
    assert "llmops_database_up 1.0" in text


def test_a_browser_that_is_logged_in_reads_them_without_the_tables_of_logins(pair: tuple[GatewayProcess, ...]) -> None:
    with closing(sqlite3.connect(pair[0].data_dir / "llmops.sqlite3", timeout=10)) as database:
        database.execute("ALTER TABLE django_session RENAME TO away")
        try:
            status, _ = read(pair[0], {"Cookie": "sessionid=0123456789abcdef0123456789abcdef"})
        finally:
            database.execute("ALTER TABLE away RENAME TO django_session")
    assert status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Authorization": "Bearer wrong"}, 403),
        ({"Authorization": f"Bearer {AGENT_KEY}"}, 403),
        ({"Authorization": TOKEN}, 403),
        ({"Authorization": f"Basic {TOKEN}"}, 403),
        ({"Authorization": f"Bearer {TOKEN}"}, 200),
        ({"Authorization": f"bearer {TOKEN}"}, 200),
    ],
)
def test_where_a_token_is_set_only_its_holder_reads(
    pair: tuple[GatewayProcess, ...], headers: dict[str, str], status: int
) -> None:
    assert read(pair[1], headers)[0] == status


def test_whoever_has_the_token_may_ask_the_machine_by_any_name(pair: tuple[GatewayProcess, ...]) -> None:
    assert read(pair[1], {"Authorization": f"Bearer {TOKEN}", "Host": "10.0.0.5:8000"})[0] == 200


@pytest.mark.parametrize(
    ("host", "allowed"),
    [("127.0.0.1:8000", True), ("localhost", True), ("llmops.test", True), ("elsewhere.test", False), ("a b", False)],
)
def test_without_a_token_only_a_name_of_ours_is_answered(host: str, allowed: bool, settings: Any) -> None:
    settings.LLMOPS_METRICS_TOKEN = ""
    settings.ALLOWED_HOSTS = ["llmops.test"]
    assert may_read(RequestFactory().get("/metrics", HTTP_HOST=host)) is allowed


def test_without_a_token_what_a_proxy_passes_on_is_refused(pair: tuple[GatewayProcess, ...]) -> None:
    assert read(pair[0], {"X-Forwarded-For": "203.0.113.7"})[0] == 403


def test_nothing_secret_and_no_content_is_told(pair: tuple[GatewayProcess, ...]) -> None:
    ask(pair[0])
    _, text = read(pair[0])

    assert AGENT_KEY not in text
    assert "Hi [[tokens" not in text
