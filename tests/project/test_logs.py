"""What the log says, to people and to machines."""

from __future__ import annotations

import json
import logging
import urllib.request
from pathlib import Path

from gateway.simulator import Fault, FaultKind
from gateway.simulator.thread import SimulatorThread
from llmops.logs import JsonFormatter
from tests.gateway_process import AGENT_KEY, configuration, gateway_process


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("gateway.test", logging.WARNING, "", 0, message, (), None)
    for name, value in extra.items():
        setattr(made, name, value)
    return made


def test_a_line_of_json_has_the_records_facts_as_fields() -> None:
    line = json.loads(JsonFormatter().format(record("it happened", facts={"request": "req_1", "attempts": 2})))
    assert line.pop("at").endswith("+00:00")
    assert line == {
        "level": "WARNING", "logger": "gateway.test", "message": "it happened", "request": "req_1", "attempts": 2,
    }  # fmt: skip


def test_a_line_of_json_is_one_line_whatever_is_in_it() -> None:
    assert "\n" not in JsonFormatter().format(record("two\nlines", facts={"reason": "a\nb", "odd": object()}))


def test_what_else_hangs_on_a_record_is_not_told() -> None:
    assert "sk-secret" not in JsonFormatter().format(record("it happened", headers={"authorization": "sk-secret"}))


def test_each_request_and_fallback_is_a_line_with_its_ids_and_without_its_content(tmp_path: Path) -> None:
    env = {"LLMOPS_LOG_FORMAT": "json", "LLMOPS_LOG_REQUESTS": "on"}
    with (
        SimulatorThread() as simulator,
        gateway_process(tmp_path, configuration(simulator.url), env=env) as gateway,
    ):
        simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai", status=503))
        body = {"model": "default", "messages": [{"role": "user", "content": "the secret of the sphinx"}]}
        headers = {"authorization": f"Bearer {AGENT_KEY}", "x-conversation-id": "told"}
        request = urllib.request.Request(f"{gateway.url}/v1/chat/completions", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request) as answer:
            request_id = answer.headers["x-request-id"]
        log = gateway.log()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    told = {line["logger"]: line for line in lines if line.get("request") == request_id}
    assert {"gateway.fallback", "gateway.requests"} <= set(told)
    request_line = told["gateway.requests"]
    seen = tuple(request_line[name] for name in ("conversation", "api_key", "provider", "status", "attempts"))
    assert seen == ("told", "agents", "anthropic", 200, 5)
    assert "sphinx" not in log
    assert AGENT_KEY not in log
