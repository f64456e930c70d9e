"""Health probes: real calls to the simulator and to servers that aren't one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from gateway.engine.errors import UpstreamError
from gateway.engine.words import FailureKind
from gateway.models import BreakerStatus, BreakerTransition, HealthProbe, HealthProbeTurn, Provider
from gateway.providers.health import failure_words
from gateway.services import provider_health
from gateway.services.provider_health import health_probes_run, provider_test
from gateway.simulator import Simulator
from gateway.simulator.thread import SimulatorThread
from tests.api.conftest import api, operator_key  # noqa: F401
from tests.selectors.rows import add_provider

pytestmark = pytest.mark.django_db

KEY = "sk-provider-key-0123456789"
NOW = timezone.now()
BASE = {"openai": "/openai/v1", "anthropic": "/anthropic"}


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with SimulatorThread() as simulator:
        yield simulator


def provider_at(url: str, kind: str = "openai", **values: Any) -> Provider:
    row: Provider = add_provider(kind, kind=kind, base_url=url, api_key_env="", **values)
    row.set_api_key(KEY)
    row.save()
    return row


@pytest.fixture
def openai(simulator: Simulator) -> Provider:
    return provider_at(simulator.url + BASE["openai"])


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_the_list_of_models_answers(simulator: Simulator, kind: str) -> None:
    row = provider_test(provider=provider_at(simulator.url + BASE[kind], kind), actor="ada")
    assert (row.ok, row.outcome, row.asked, row.actor) == (True, "ok", "the list of models", "ada")
    assert row.words == f"Works: the list of models came in {row.latency_ms} ms."


@pytest.mark.parametrize(("kind", "model"), [("openai", "gpt-4-turbo"), ("anthropic", "claude-3-5-sonnet-20241022")])
def test_a_named_model_is_called_for_one_token(simulator: Simulator, kind: str, model: str) -> None:
    row = provider_at(simulator.url + BASE[kind], kind, health_probe_model=model)
    probe = provider_test(provider=row, actor="ada")
    assert probe.words == f"Works: {model} answered in {probe.latency_ms} ms."
    (bill,) = simulator.bill()
    assert bill.output_tokens == 1


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        (FailureKind.MODEL_NOT_FOUND, 404, "Model 'gpt-nonesuch' unknown to the provider (HTTP 404): why"),
        (FailureKind.RATE_LIMITED, 429, "Rate limited: the provider is alive but wants fewer requests (HTTP 429): why"),
        (FailureKind.QUOTA_EXHAUSTED, 402, "Quota exhausted: the account has no credit left (HTTP 402): why"),
        (FailureKind.SERVER_ERROR, 503, "The provider has an error of its own (HTTP 503): why"),
        (FailureKind.TIMEOUT, None, "Timed out: why"),
    ],
)
def test_a_failure_says_what_it_means_and_what_the_provider_said(
    kind: FailureKind, status: int | None, words: str
) -> None:
    assert failure_words(UpstreamError(kind, "why", status=status), "gpt-nonesuch") == words


def test_nothing_listening_is_told_as_refused() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    row = provider_test(provider=provider_at(f"http://127.0.0.1:{port}/v1"), actor="ada")
    assert (row.outcome, row.status) == ("connection", None)
    assert row.words.startswith("Connection refused: nothing listens at this address: ")


def test_a_server_that_speaks_no_tls_is_told(openai: Provider) -> None:
    openai.base_url = openai.base_url.replace("http://", "https://")
    row = provider_test(provider=openai, actor="ada")
    assert row.words.startswith("TLS failed: ")


@pytest.fixture
def echo() -> Iterator[str]:
    """A server that answers with 401 and whatever it was sent."""
    server = socket.create_server(("127.0.0.1", 0))

    server.settimeout(5)

    def serve() -> None:
        try:
            connection, _ = server.accept()
        except TimeoutError:
            return
        with connection:
            sent = connection.recv(65536).decode().replace('"', "'").replace("\r\n", " ")
            body = '{"error": {"message": "I got ' + sent + '"}}'
            head = f"HTTP/1.1 401 Unauthorized\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            connection.sendall((head + body).encode())

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"
    thread.join()
    server.close()


def test_a_rejected_key_is_told_and_never_shown(echo: str, caplog: pytest.LogCaptureFixture) -> None:
    provider = provider_at(echo, extra_headers={"x-team": "hush-hush-42"})
    row = provider_test(provider=provider, actor="ada")
    assert row.words.startswith("API key rejected (HTTP 401): I got GET /v1/models")
    for secret in (KEY, "hush-hush-42"):
        assert secret not in row.words + caplog.text


def test_a_failed_probe_leaves_the_breaker_alone() -> None:
    provider = provider_at("http://127.0.0.1:1/v1", breaker_failure_threshold=1)
    assert not provider_test(provider=provider, actor="ada").ok
    assert not BreakerStatus.objects.exists()
    assert not BreakerTransition.objects.exists()


def scheduled(provider: Provider, every_seconds: float = 60) -> Provider:
    provider.health_probe_every_seconds = every_seconds
    provider.save()
    return provider


def run(now: datetime) -> int:
    return len(health_probes_run(now=now, random=lambda: 0.5))


def test_nobody_is_asked_unless_configured(openai: Provider) -> None:
    assert (run(NOW), HealthProbeTurn.objects.count()) == (0, 0)


def test_the_first_probe_comes_within_the_interval_and_the_next_one_an_interval_later(openai: Provider) -> None:
    scheduled(openai)
    asked = [second for second in range(0, 200, 10) if run(NOW + timedelta(seconds=second))]
    assert asked == [30, 90, 150]


def test_one_prober_of_the_fleet_asks(openai: Provider) -> None:
    scheduled(openai)
    run(NOW)
    assert [run(NOW + timedelta(seconds=31)) for _ in range(3)] == [1, 0, 0]


def test_a_shorter_interval_holds_at_once(openai: Provider) -> None:
    run_once = scheduled(openai, 86_400)
    run(NOW)
    scheduled(run_once, 10)
    assert run(NOW) == 1


def test_a_provider_switched_off_is_left_in_peace(openai: Provider) -> None:
    openai.enabled = False
    scheduled(openai)
    assert [run(NOW), run(NOW + timedelta(seconds=61))] == [0, 0]


def test_rows_are_bounded(openai: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_health, "KEPT_PER_PROVIDER", 2)
    newest = [provider_test(provider=openai, actor="ada").pk for _ in range(4)]
    assert sorted(HealthProbe.objects.values_list("pk", flat=True)) == newest[2:]


def test_an_operator_tests_a_provider_over_the_api(api: Client, openai: Provider) -> None:  # noqa: F811
    answer = api.post("/api/providers/openai/test").json()
    assert (answer["provider"], answer["ok"], answer["outcome"]) == ("openai", True, "ok")
    assert HealthProbe.objects.get().actor == "API key ops"


def test_testing_a_provider_that_is_not_there_names_those_that_are(api: Client, openai: Provider) -> None:  # noqa: F811
    response = api.post("/api/providers/nobody/test")
    assert response.status_code == 404
    assert "openai" in response.json()["error"]["message"]
