"""A whole gateway with a collector behind it: what arrives there of each completion and its attempts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from openai import OpenAI
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway.simulator import Fault, FaultKind, Simulator
from gateway.simulator.thread import SimulatorThread
from tests.gateway_process import AGENT_KEY, GatewayProcess, configuration, gateway_process

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
WAIT_SECONDS = 20.0
SERVER, CLIENT = 2, 3  # opentelemetry.proto.trace.v1.Span.SpanKind
ERROR = 2
SECRET_WORDS = "what nobody but the provider may read"


@dataclass
class Collector:
    """Takes spans over OTLP/HTTP and keeps them."""

    url: str = ""
    spans: list[Any] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    raw: bytes = b""
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self.arrived:
            self.raw += body
            for group in request.resource_spans:
                self.resources.append(facts(group.resource))
                self.spans += [span for scope in group.scope_spans for span in scope.spans]
            self.arrived.notify_all()

    def of(self, request_id: str) -> tuple[Any, list[Any]]:
        """A completion's span and those of its attempts, in order."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: self._root(request_id) is not None, WAIT_SECONDS)
            root = self._root(request_id)
            children = [span for span in self.spans if span.parent_span_id == root.span_id]
        return root, sorted(children, key=lambda span: int(facts(span)["llmops.attempt"]))

    def _root(self, request_id: str) -> Any:
        roots = (span for span in self.spans if facts(span).get("llmops.request.id") == request_id)
        return next(roots, None)


def facts(of: Any) -> dict[str, Any]:
    """Attributes as Python's values."""
    told = {}
    for attribute in of.attributes:
        kind = attribute.value.WhichOneof("value")
        value = getattr(attribute.value, kind)
        told[attribute.key] = [one.string_value for one in value.values] if kind == "array_value" else value
    return told


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collected = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collected.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collected.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield collected
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with SimulatorThread() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def gateway(
    simulator: Simulator, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "20",
    }
    cached = {"name": "cached", "targets": [{"provider": "openai", "model": "gpt-4-turbo"}], "cache": {"enabled": True}}
    document = configuration(simulator.url)
    document["routes"].append(cached)
    document["providers"][0]["breaker"] = {"failure_threshold": 1000, "cooldown_seconds": 60}
    with gateway_process(tmp_path_factory.mktemp("traced"), document, env=env) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: GatewayProcess, simulator: Simulator) -> Iterator[OpenAI]:
    simulator.reset()
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=AGENT_KEY, max_retries=0) as client:
        yield client


def ask(client: OpenAI, *, stream: bool = False, model: str = "default", **headers: str) -> str:
    """The request's id."""
    messages: Any = [{"role": "user", "content": SECRET_WORDS}]
    completions = client.chat.completions.with_raw_response
    reply = completions.create(model=model, messages=messages, stream=stream, extra_headers=headers)
    if stream:
        for _ in reply.parse():  # type: ignore[attr-defined]
            pass
    return str(reply.headers["x-request-id"])


def test_a_completion_is_a_span_with_its_attempt_below(client: OpenAI, collector: Collector) -> None:
    request_id = ask(client)
    root, (attempt,) = collector.of(request_id)
    told = facts(root)
    assert (root.kind, root.name, attempt.kind, attempt.name) == (SERVER, "chat default", CLIENT, "chat gpt-4-turbo")
    assert told["gen_ai.operation.name"] == "chat"
    assert (told["gen_ai.provider.name"], told["gen_ai.response.model"]) == ("openai", "gpt-4-turbo")
    assert told["gen_ai.usage.output_tokens"] == facts(attempt)["gen_ai.usage.output_tokens"] > 0
    assert told["gen_ai.response.finish_reasons"] == ["stop"]
    assert (told["llmops.api_key.name"], told["llmops.team"], told["llmops.cache"]) == ("agents", "research", "bypass")
    assert root.start_time_unix_nano <= attempt.start_time_unix_nano
    assert attempt.end_time_unix_nano <= root.end_time_unix_nano + 2_000_000  # times are kept in milliseconds


def test_the_resource_is_named(client: OpenAI, collector: Collector) -> None:
    collector.of(ask(client))
    assert {resource["service.name"] for resource in collector.resources} == {"llmops"}


def test_it_belongs_to_its_callers_trace_and_the_provider_hears_of_the_attempt(
    client: OpenAI, collector: Collector, simulator: Simulator
) -> None:
    request_id = ask(client, traceparent=f"00-{TRACE}-{PARENT}-01")
    root, (attempt,) = collector.of(request_id)
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, PARENT)
    heard = simulator.log.rows()[-1].headers["traceparent"]
    assert heard == f"00-{TRACE}-{attempt.span_id.hex()}-01"


def test_a_caller_that_does_not_sample_is_not_traced(
    client: OpenAI, collector: Collector, simulator: Simulator
) -> None:
    unsampled = ask(client, traceparent=f"00-{TRACE}-{PARENT}-00")
    heard = simulator.log.rows()[-1].headers["traceparent"]
    collector.of(ask(client))  # which comes later
    assert all(facts(span).get("llmops.request.id") != unsampled for span in collector.spans)
    assert heard.startswith(f"00-{TRACE}-")
    assert heard.endswith("-00")


@pytest.mark.parametrize("stream", [False, True])
def test_every_try_is_a_span_and_tells_why_it_failed(
    client: OpenAI, collector: Collector, simulator: Simulator, stream: bool
) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))
    root, attempts = collector.of(ask(client, stream=stream))
    assert [facts(span)["gen_ai.provider.name"] for span in attempts][-2:] == ["openai", "anthropic"]
    assert len({span.span_id for span in attempts}) == len(attempts) == 5
    assert [span.status.code for span in attempts] == [ERROR] * 4 + [0]
    assert facts(attempts[0])["http.response.status_code"] == 503
    assert facts(attempts[0])["error.type"]
    assert facts(root)["llmops.fallback"] is True
    assert root.status.code == 0


def test_a_target_that_its_breaker_holds_back_is_told_without_a_span(
    client: OpenAI, collector: Collector, gateway: GatewayProcess
) -> None:
    gateway.post("/api/breakers/openai", {"action": "force_open", "reason": "a test"})
    root, (attempt,) = collector.of(ask(client))
    gateway.post("/api/breakers/openai", {"action": "reset", "reason": "the test is over"})
    (event,) = root.events
    assert (event.name, facts(event)["gen_ai.provider.name"]) == ("target left out", "openai")
    assert facts(event)["error.type"] == "breaker_open"
    assert facts(attempt)["gen_ai.provider.name"] == "anthropic"


def test_a_request_that_nobody_could_answer_is_an_error(
    client: OpenAI, collector: Collector, simulator: Simulator
) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=400))
    messages: Any = [{"role": "user", "content": SECRET_WORDS}]
    with pytest.raises(Exception) as refused:
        client.chat.completions.create(model="openai-only", messages=messages)
    response: Any = refused.value.response  # type: ignore[attr-defined]
    root, _ = collector.of(str(response.headers["x-request-id"]))
    assert root.status.code == ERROR
    assert facts(root)["error.type"] == root.status.message


def test_an_answer_from_the_cache_is_a_span_without_attempts(client: OpenAI, collector: Collector) -> None:
    ask(client, model="cached")
    root, attempts = collector.of(ask(client, model="cached"))
    assert (facts(root)["llmops.cache"], attempts) == ("hit", [])


def test_nothing_that_was_said_and_no_secret_is_told(client: OpenAI, collector: Collector) -> None:
    collector.of(ask(client))
    assert SECRET_WORDS.encode() not in collector.raw
    assert AGENT_KEY.encode() not in collector.raw
    assert b"sk-" not in collector.raw
