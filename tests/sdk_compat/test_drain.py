"""A worker that is stopped: its drain is bounded, and whoever it can't wait for gets an error their SDK raises."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.server import Simulator
from tests.gateway_process import AGENT_KEY, GatewayProcess, configuration, gateway_process

MESSAGES: Any = [{"role": "user", "content": "[[tokens: 60]]"}]


@pytest.fixture
def hurried(simulator: Simulator, tmp_path: Path) -> Iterator[GatewayProcess]:
    """A gateway that drains for no time at all, in front of providers that take a minute for an answer."""
    for name in ("openai", "anthropic"):
        simulator.faults.add(Fault(provider=name, kind=FaultKind.SLOW_TOKENS, seconds=1))
    with gateway_process(tmp_path, configuration(simulator.url), "--drain-seconds", "0") as gateway:
        yield gateway


def booked(gateway: GatewayProcess) -> list[tuple[str, int, str]]:
    with closing(sqlite3.connect(gateway.data_dir / "llmops.sqlite3")) as books:
        return books.execute("SELECT status, http_status, error_code FROM llmops_completion").fetchall()


def wait_for_end(gateway: GatewayProcess) -> None:
    """The worker writes its books before it ends; its child process belongs to the fixture, so it is looked at."""
    os.waitid(os.P_PID, gateway.pid, os.WEXITED | os.WNOWAIT)


def test_a_stream_at_the_end_of_the_drain_gets_an_error_and_is_booked_as_failed(hurried: GatewayProcess) -> None:
    with openai.OpenAI(base_url=f"{hurried.url}/v1", api_key=AGENT_KEY, max_retries=0) as client:
        stream = client.chat.completions.create(model="openai-only", messages=MESSAGES, stream=True)
        next(stream)
        os.kill(hurried.pid, signal.SIGTERM)
        with pytest.raises(openai.APIError, match="being stopped") as caught:
            list(stream)
    assert caught.value.code == "shutting_down"
    wait_for_end(hurried)
    assert booked(hurried) == [("failed", 503, "shutting_down")]


def test_so_does_a_stream_of_messages(hurried: GatewayProcess) -> None:
    with anthropic.Anthropic(base_url=hurried.url, api_key=AGENT_KEY, max_retries=0) as client:
        stream = client.messages.create(model="anthropic-only", max_tokens=99, messages=MESSAGES, stream=True)
        next(stream)
        os.kill(hurried.pid, signal.SIGTERM)
        with pytest.raises(anthropic.APIError, match="being stopped"):
            list(stream)
    wait_for_end(hurried)
    assert booked(hurried) == [("failed", 503, "shutting_down")]
