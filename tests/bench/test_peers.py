"""Other gateways beside this one: what they are asked, and that one that fails or is not there only says so."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import load, peers
from bench.held import held
from bench.measure import in_rounds, percentiles_ms
from bench.peers import Peer, litellm, portkey
from bench.peers.install import NotInstalled, node_package
from bench.scenarios import SCENARIOS, Scenario
from bench.systems import Missing, System
from gateway.simulator import Fault, FaultKind, SimulatorThread

SIMULATOR_URL = "http://127.0.0.1:1"
PLAIN = SCENARIOS[0]


def scenario(name: str) -> Scenario:
    return next(each for each in SCENARIOS if each.name == name)


def write_command(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which commands are found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def body_of(call: load.Call | Missing) -> dict[str, object]:
    assert isinstance(call, load.Call)
    return dict(json.loads(call.request.partition(b"\r\n\r\n")[2]))


def header_of(call: load.Call | Missing, name: str) -> str:
    assert isinstance(call, load.Call)
    lines = call.request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return next(line.partition(": ")[2] for line in lines if line.startswith(f"{name}: "))


def simulator_system(simulator: SimulatorThread, model: str, *, version: str = "") -> System:
    port = int(simulator.url.rpartition(":")[2])

    def call(asked: Scenario) -> load.Call:
        return load.post("127.0.0.1", port, "/openai/v1/chat/completions", asked.body(model), "sk-test", asked.expected)

    return System("system", os.getpid(), 0.02, call, version)


def test_without_node_portkey_says_that_it_needs_it(commands: Path, tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match=r"needs Node\.js"):
        portkey.install(tmp_path)


def test_failed_installation_gives_the_installers_last_words(commands: Path, tmp_path: Path) -> None:
    write_command(commands, "node", "exit 0")
    write_command(commands, "npm", "echo 'npm error network away' >&2; exit 1")
    with pytest.raises(NotInstalled, match="npm failed, its last words: npm error network away"):
        portkey.install(tmp_path / "peers")


def test_what_is_installed_is_not_installed_again_until_its_version_changes(commands: Path, tmp_path: Path) -> None:
    write_command(commands, "node", "exit 0")
    write_command(commands, "npm", f"echo run >> {tmp_path / 'runs'}")
    for version in ("1.0.0", "1.0.0", "1.0.1"):
        node_package(tmp_path / "peers", "some-gateway", version, {})
    assert (tmp_path / "runs").read_text().count("run") == 2


def test_peer_that_cannot_be_had_is_left_out_with_its_reason(tmp_path: Path) -> None:
    there = System("there", None, 1, lambda _: Missing("nothing"))

    @contextmanager
    def start(installed: Path, simulator_url: str, folder: Path) -> Iterator[System]:
        yield there

    def no_network(folder: Path) -> Path:
        raise NotInstalled("no network")

    both = [Peer("Absent", no_network, start), Peer("Present", lambda folder: folder, start)]
    with peers.started(SIMULATOR_URL, tmp_path, both) as (systems, absent):
        assert (systems, absent) == ([there], ["Absent is left out: no network."])


@pytest.mark.parametrize("asked", SCENARIOS, ids=lambda it: it.name)
def test_litellm_has_the_route_of_each_scenario(asked: Scenario) -> None:
    names = [entry["model_name"] for entry in litellm.configuration(SIMULATOR_URL)["model_list"]]
    assert body_of(litellm.call(1, asked))["model"] in names


@pytest.mark.parametrize(("name", "cached"), [("a", False), ("d", True), ("ds", True)])
def test_litellm_caches_only_where_the_scenario_does(name: str, cached: bool) -> None:
    assert ("cache" in body_of(litellm.call(1, scenario(name)))) is cached


@pytest.mark.parametrize(
    ("name", "provider"), [("a", "openai"), ("b", "openai"), ("c", "anthropic"), ("cs", "anthropic")]
)
def test_portkey_is_told_the_provider_by_header(name: str, provider: str) -> None:
    assert header_of(portkey.call(1, SIMULATOR_URL, scenario(name)), "x-portkey-provider") == provider


def test_portkey_falls_back_from_the_failing_model_to_anthropic() -> None:
    call = portkey.call(1, SIMULATOR_URL, scenario("f"))
    targets = json.loads(header_of(call, "x-portkey-config"))["targets"]
    assert (body_of(call)["model"], targets[1]["provider"]) == ("gpt-4", "anthropic")


def test_what_portkey_cannot_do_has_a_reason() -> None:
    assert portkey.call(1, SIMULATOR_URL, scenario("d")) == Missing("the package has no response cache")


async def test_wrong_answer_of_a_peer_is_the_reason_why_it_has_no_figure() -> None:
    with SimulatorThread() as simulator:
        measured = await in_rounds([simulator_system(simulator, "nobody", version="1.0")], [PLAIN], 1)
    assert "no right answer (BadAnswer: " in measured.missing["system", "a"]
    assert measured.cpu_ms == {}


async def test_wrong_answer_of_our_own_ends_the_run() -> None:
    with SimulatorThread() as simulator, pytest.raises(load.BadAnswer):
        await in_rounds([simulator_system(simulator, "nobody")], [PLAIN], 1)


async def test_each_round_gives_one_figure_and_every_request_its_time() -> None:
    with SimulatorThread() as simulator:
        measured = await in_rounds([simulator_system(simulator, "gpt-4-turbo")], [PLAIN], 2)
    assert len(measured.cpu_ms["system", "a"]) == 2
    assert len(measured.seconds["system", "a"]) == 2 * PLAIN.connections


@pytest.mark.parametrize(("model", "open_streams"), [("gpt-4o-mini", 6), ("nobody", 0)])
async def test_only_streams_that_are_open_are_counted(model: str, open_streams: int) -> None:
    with SimulatorThread() as simulator:
        simulator.faults.add(Fault(kind=FaultKind.SLOW_TOKENS, seconds=0.2))
        found = await held(simulator_system(simulator, model), 6, 1.0)
    assert found is not None
    assert found.open_streams == open_streams
    assert found.memory_mb > 1


def test_percentiles_are_times_that_were_measured() -> None:
    assert percentiles_ms([number / 1000 for number in range(1, 101)]) == (51.0, 96.0, 100.0)
