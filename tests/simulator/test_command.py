"""``manage.py simulate`` and its actions against a running simulator."""

import asyncio
import io
import os
import signal
import socket
from typing import Any

import httpx2
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from gateway.management.commands.simulate import Command
from gateway.simulator import Simulator


@pytest.fixture
def run(simulator: Simulator) -> Any:
    port = simulator.url.rsplit(":", 1)[1]

    def call(*arguments: str) -> str:
        out = io.StringIO()
        call_command(Command(stdout=out, no_color=True), "--port", port, *arguments)
        return out.getvalue()

    return call


def test_one_command_makes_openai_fail_and_one_heals_it(run: Any, openai_raw: Any, anthropic_raw: Any) -> None:
    assert "in force: kind status, status 503, provider openai" in run("fault", "openai", "503")
    assert (openai_raw.post().status_code, anthropic_raw.post().status_code) == (503, 200)
    run("heal")
    assert openai_raw.post().status_code == 200


def test_a_fault_takes_its_options(run: Any, simulator: Simulator) -> None:
    run("fault", "all", "cut", "--for", "60", "--times", "3", "--share", "0.5", "--after-tokens", "4")
    (fault,) = simulator.faults.list()
    assert (fault["kind"], fault["provider"], fault["for_seconds"]) == ("cut", None, 60)
    assert (fault["times"], fault["share"], fault["after_tokens"]) == (3, 0.5, 4)


def test_an_impossible_fault_is_an_error(run: Any) -> None:
    with pytest.raises(CommandError, match="kind must be one of"):
        run("fault", "openai", "explode")


def test_bill_and_log_are_printed(run: Any, openai_raw: Any) -> None:
    openai_raw.post({"messages": [{"role": "user", "content": "[[tokens: 17]]"}]})
    assert run("bill").splitlines()[1].split()[:3] == ["openai", "gpt-4-turbo", "1"]
    assert "gpt-4-turbo  plain  200  finished" in run("log")
    run("reset")
    assert len(run("bill").splitlines()) == 1


def test_without_a_simulator_the_command_says_so() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
        with pytest.raises(CommandError, match="no simulator answers at"):
            call_command(Command(stdout=io.StringIO(), no_color=True), "heal", "--port", port)


class _Announcement(io.StringIO):
    """Standard output that, once the server is ready, asks for its health and ends it."""

    health: int | None = None

    def write(self, text: str) -> int:
        if "simulator ready" in text:
            asyncio.get_running_loop().call_soon(self._look, text.split()[2].removesuffix("/openai/v1"))
        return super().write(text)

    def _look(self, url: str) -> None:
        self._task = asyncio.ensure_future(self._ask(url))

    async def _ask(self, url: str) -> None:
        async with httpx2.AsyncClient(trust_env=False) as client:
            self.health = (await client.get(url + "/control/health")).status_code
        os.kill(os.getpid(), signal.SIGTERM)


def test_it_serves_until_it_is_told_to_stop() -> None:
    out = _Announcement()
    call_command(Command(stdout=out, no_color=True), "--port", "0")
    assert (out.health, out.getvalue().count("\n")) == (200, 1)


def test_a_taken_port_is_an_error(simulator: Simulator) -> None:
    with pytest.raises(CommandError, match="cannot listen on"):
        call_command(Command(stdout=io.StringIO(), no_color=True), "--port", simulator.url.rsplit(":", 1)[1])
