"""What a run prints: dashes with their reasons, ratios, and the gateway's figures against their lines."""

from __future__ import annotations

import os

import pytest

from bench.held import Held
from bench.lines import Line
from bench.measure import Measured
from bench.report import Run, figures, report
from bench.scenarios import SCENARIOS
from bench.systems import DIRECT, GATEWAY, PASS_THROUGH, Missing, System

NAMES = (DIRECT, PASS_THROUGH, GATEWAY, "Peer")
SYSTEMS = [System(name, None if name == DIRECT else os.getpid(), 1, lambda _: Missing("unused")) for name in NAMES]


def run(open_streams: int = 500) -> Run:
    measured = Measured(
        cpu_ms={(PASS_THROUGH, "a"): [0.2], (GATEWAY, "a"): [1.6, 1.0, 1.2], ("Peer", "a"): [12.0]},
        seconds={(GATEWAY, "a"): [0.002, 0.004]},
        missing={("Peer", "d"): "it has no cache", ("Peer", "ds"): "it has no cache"},
    )
    alone = {DIRECT: [0.001], PASS_THROUGH: [0.0015], GATEWAY: [0.0025]}
    memory = dict.fromkeys(NAMES[1:], 100.0)
    return Run(measured, alone, memory, memory, {GATEWAY: Held(open_streams, 150.0)})


def row(text: str, first: str) -> list[str]:
    return next(line.removeprefix(first).split() for line in text.splitlines() if line.startswith(first))


def test_cpu_is_the_median_of_the_rounds_and_a_dash_where_there_is_none() -> None:
    text = report(run(), SYSTEMS, SCENARIOS)
    assert row(text, "a   plain") == ["0.20", "1.20", "12.00"]
    assert row(text, "d   answered from the cache, plain") == ["-", "-", "-"]


def test_ratios_are_of_all_to_the_pass_through_and_of_peers_to_the_gateway() -> None:
    ratios = report(run(), SYSTEMS, SCENARIOS).partition("the same as ratios")[2]
    assert row(ratios, "a   plain") == ["6.0", "60.0", "10.0"]


def test_reason_stands_once_with_the_scenarios_it_is_for() -> None:
    assert "- Peer, d, ds: it has no cache." in report(run(), SYSTEMS, SCENARIOS).splitlines()


def test_figure_is_held_against_both_of_its_lines() -> None:
    text = report(run(), SYSTEMS, SCENARIOS)
    assert row(text, "CPU, plain, ms") == ["1.20", "1.5", "0.6", "pass"]
    assert row(text, "added latency, median, one at a time, ms") == ["1.50", "2", "1", "pass"]
    assert row(text, "CPU, cached, plain, ms") == ["-", "1", "0.5", "not", "measured"]


def test_memory_with_fewer_streams_than_asked_for_is_no_figure() -> None:
    assert {line.what: figure for line, figure in figures(run(499))}["memory, 500 open streams"] is None


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [(None, "not measured"), (1.6, "FAIL"), (1.5, "pass"), (0.61, "pass"), (0.6, "pass, as wanted")],
)
def test_verdict_of_a_figure(figure: float | None, verdict: str) -> None:
    assert Line("CPU", "ms", 1.5, 0.6).verdict(figure) == verdict


def test_brief_run_prints_no_lines() -> None:
    brief = Run(run().measured, {}, run().idle_mb, run().after_mb, {})
    assert "against its lines" not in report(brief, SYSTEMS, SCENARIOS)
