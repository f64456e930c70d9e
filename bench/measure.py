"""Rounds in which the systems take turns at each scenario, and each alone with one request at a time."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench import load
from bench.machine import cpu_seconds
from bench.scenarios import SCENARIOS, Scenario
from bench.systems import DIRECT, Missing, System

WARM_UP_SHARE = 0.5  # of a round's requests: pools fill, just-in-time compilers settle
ALONE_REQUESTS = 300
ALONE_TURNS = 3
PLAIN = SCENARIOS[0]


@dataclass(frozen=True, slots=True)
class Measured:
    """By system and scenario: CPU per request of each round in ms, every request's seconds, or why there is none."""

    cpu_ms: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    missing: dict[tuple[str, str], str] = field(default_factory=dict)

    def median_cpu_ms(self, system: str, scenario: str) -> float | None:
        rounds = self.cpu_ms.get((system, scenario))
        return statistics.median(rounds) if rounds else None


async def in_rounds(systems: Sequence[System], scenarios: Sequence[Scenario], rounds: int) -> Measured:
    """A wrong answer of the gateway ends it (`load.BadAnswer`); another's is the reason why that one has no figure."""
    measured = Measured()
    for number in range(rounds + 1):
        sys.stderr.write(f"round {number} of {rounds}\n" if number else "warm-up\n")
        for scenario in scenarios:
            for system in systems:
                if (system.name, scenario.name) not in measured.missing:
                    await _turn(measured, system, scenario, warm_up=number == 0)
    return measured


async def _turn(measured: Measured, system: System, scenario: Scenario, *, warm_up: bool) -> None:
    key = system.name, scenario.name
    call = system.call(scenario)
    if isinstance(call, Missing):
        measured.missing[key] = call.reason
        return
    requests = system.requests(scenario)
    try:
        if warm_up:
            requests = max(scenario.connections, round(requests * WARM_UP_SHARE))
            await load.run(call, requests=requests, connections=scenario.connections)
            return
        before = cpu_seconds(system.pid) if system.pid else 0.0
        times = await load.run(call, requests=requests, connections=scenario.connections)
    except (load.BadAnswer, OSError, EOFError) as error:
        if not system.version:
            raise
        measured.missing[key] = f"no right answer ({type(error).__name__}: {' '.join(str(error).split())[-200:]})"
        return
    measured.seconds.setdefault(key, []).extend(times)
    if system.pid:
        cost_ms = (cpu_seconds(system.pid) - before) * 1000 / requests
        # The kernel counts whole steps of 10 ms; beyond these digits their difference is floating point alone.
        measured.cpu_ms.setdefault(key, []).append(round(cost_ms, 6))


async def alone(systems: Sequence[System]) -> dict[str, list[float]]:
    """Seconds of plain requests, one at a time, by system; in turns, for the machine may change its pace."""
    times: dict[str, list[float]] = {}
    for _ in range(ALONE_TURNS):
        for system in systems:
            call = system.call(PLAIN)
            if isinstance(call, load.Call):
                share = max(system.share, 0.5) if system.name != DIRECT else 1
                requests = round(ALONE_REQUESTS * min(share, 1) / ALONE_TURNS)
                times.setdefault(system.name, []).extend(await load.run(call, requests=requests, connections=1))
    return times


def percentiles_ms(seconds: Sequence[float]) -> tuple[float, float, float]:
    """Median, 95th, 99th: the first measured time below which so many lie."""
    ordered = sorted(seconds)
    median, p95, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000 for part in (0.5, 0.95, 0.99))
    return median, p95, p99
