"""The tables of a run, as text."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench import lines
from bench.held import Held
from bench.lines import Line
from bench.measure import Measured, percentiles_ms
from bench.scenarios import HELD, Scenario
from bench.systems import DIRECT, GATEWAY, PASS_THROUGH, System

METHOD = """\
CPU time (user + system) per request of the whole process tree, from /proc, in milliseconds; median of {rounds} rounds
in which all took turns, after a warm-up. Every answer is checked. Upstream of all: the simulator, a process of its own.
gateway: key check, routing, breaker, three budgets, ledger (SQLite) on, one process. pass-through: the same server,
aiohttp, bytes and nothing else. direct: no one between client and simulator."""
PEERS_METHOD = "One process each; they keep no record of requests in this set-up: {versions}."
_TITLE_WIDTH = 58
_WIDTH = 14
_PERCENTILES_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Run:
    """`alone` in seconds by system, `idle_mb` before the first request, `after_mb` after the rounds.

    Without `alone` and `held` it was a brief run.
    """

    measured: Measured
    alone: Mapping[str, Sequence[float]]
    idle_mb: Mapping[str, float]
    after_mb: Mapping[str, float]
    held: Mapping[str, Held]


def report(run: Run, systems: Sequence[System], scenarios: Sequence[Scenario]) -> str:
    with_cpu = [system.name for system in systems if system.pid]
    names = [system.name for system in systems]
    parts = [
        _cpu_table(run.measured, with_cpu, scenarios),
        _ratio_table(run.measured, with_cpu, scenarios),
        _latency_table(run.measured, names, scenarios),
        _alone_table(run.alone, names) if run.alone else "",
        _memory_table(run, with_cpu),
        _lines_table(run) if run.alone else "",
        _missing(run.measured),
    ]
    return "\n\n".join(part for part in parts if part)


def _row(first: str, cells: Sequence[str], width: int = _WIDTH) -> str:
    return f"{first:{_TITLE_WIDTH}}" + "".join(f"{cell:>{width}}" for cell in cells)


def _title(scenario: Scenario) -> str:
    return f"{scenario.name:3} {scenario.text}"


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _cpu_table(measured: Measured, names: Sequence[str], scenarios: Sequence[Scenario]) -> str:
    rows = [_row("CPU per request, ms", names)]
    for scenario in scenarios:
        rows.append(_row(_title(scenario), [_number(measured.median_cpu_ms(name, scenario.name)) for name in names]))
    return "\n".join(rows)


def _ratio_table(measured: Measured, names: Sequence[str], scenarios: Sequence[Scenario]) -> str:
    """Everyone against the pass-through, and each peer against the gateway."""
    peers = [name for name in names if name not in (GATEWAY, PASS_THROUGH)]
    pairs = [(name, PASS_THROUGH) for name in (GATEWAY, *peers)] + [(name, GATEWAY) for name in peers]
    heads = [f"{_short(upper)}/{_short(lower)}" for upper, lower in pairs]
    rows = [_row("the same as ratios", heads)]
    for scenario in scenarios:
        cells = [_number(ratio(measured, upper, lower, scenario.name), 1) for upper, lower in pairs]
        rows.append(_row(_title(scenario), cells))
    return "\n".join(rows)


def _short(name: str) -> str:
    return {GATEWAY: "gw", PASS_THROUGH: "pass"}.get(name, name)


def ratio(measured: Measured, upper: str, lower: str, scenario: str) -> float | None:
    above, below = measured.median_cpu_ms(upper, scenario), measured.median_cpu_ms(lower, scenario)
    return above / below if above is not None and below else None


def _latency_table(measured: Measured, names: Sequence[str], scenarios: Sequence[Scenario]) -> str:
    rows = [_row("whole answer, ms: median / p95 / p99 (so many at a time)", names, _PERCENTILES_WIDTH)]
    for scenario in scenarios:
        cells = [_percentiles(measured.seconds.get((name, scenario.name), []), 0) for name in names]
        rows.append(_row(f"{_title(scenario)} ({scenario.connections})", cells, _PERCENTILES_WIDTH))
    return "\n".join(rows)


def _percentiles(seconds: Sequence[float], digits: int) -> str:
    return " / ".join(f"{value:.{digits}f}" for value in percentiles_ms(seconds)) if seconds else "-"


def _alone_table(alone: Mapping[str, Sequence[float]], names: Sequence[str]) -> str:
    rows = [_row("plain, one at a time, ms", ["median", "p95", "p99", "added median", "added p95", "added p99"])]
    base = percentiles_ms(alone[DIRECT])
    for name in names:
        if name in alone:
            own = percentiles_ms(alone[name])
            added = [None if name == DIRECT else value - other for value, other in zip(own, base, strict=True)]
            rows.append(_row(name, [_number(value) for value in (*own, *added)]))
    return "\n".join(rows)


def _memory_table(run: Run, names: Sequence[str]) -> str:
    rows = [_row("memory of the process tree, MB", ["idle", "after rounds", "open streams", "so many"])]
    for name in names:
        held = run.held.get(name)
        cells = [_number(run.idle_mb[name], 0), _number(run.after_mb[name], 0)]
        rows.append(_row(name, [*cells, *([_number(held.memory_mb, 0), str(held.open_streams)] if held else "--")]))
    return "\n".join(rows)


def figures(run: Run) -> Iterator[tuple[Line, float | None]]:
    """Each line, and the gateway's figure where the run has one."""
    for name, line in lines.CPU.items():
        yield line, run.measured.median_cpu_ms(GATEWAY, name)
    yield lines.ADDED_LATENCY, (statistics.median(run.alone[GATEWAY]) - statistics.median(run.alone[DIRECT])) * 1000
    yield lines.IDLE_MEMORY, run.idle_mb[GATEWAY]
    held = run.held.get(GATEWAY)
    yield lines.HELD_MEMORY, held.memory_mb if held and held.open_streams == HELD.connections else None


def _lines_table(run: Run) -> str:
    rows = [_row("this gateway against its lines", ["figure", "must", "wants", ""])]
    for line, figure in figures(run):
        wants = "-" if line.wants is None else f"{line.wants:g}"
        digits = 2 if line.unit == "ms" else 0
        rows.append(
            _row(f"{line.what}, {line.unit}", [_number(figure, digits), f"{line.must:g}", wants])
            + f"  {line.verdict(figure)}"
        )
    return "\n".join(rows)


def _missing(measured: Measured) -> str:
    """Each reason once, with the scenarios it is the reason for."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for (system, scenario), reason in measured.missing.items():
        reasons.setdefault((system, reason), []).append(scenario)
    return "\n".join(f"- {system}, {', '.join(names)}: {reason}." for (system, reason), names in reasons.items())
