"""`python -m bench.flat [--count 100000]`: memory and open files of a gateway stay as they are however much it answers.

Plain, streamed, translated, cached and fallen-back requests in turn, eight at a time, to one gateway process with
everything on (`bench.servers`). After each step: resident memory, open file descriptors, threads. What the first tenth
does is warming up: both SDKs, connection pools, caches up to their bounds. The run fails when more than
`GROWTH_MAX_MB` or `FILES_MAX` came on top after it.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench import load
from bench.machine import machine_text, memory_mb, open_files, threads
from bench.scenarios import SCENARIOS
from bench.servers import KEY, Servers, servers

# Shares of a step, in hundredths.
MIX = {"a": 55, "b": 15, "c": 10, "cs": 5, "d": 10, "f": 5}
STEPS = 20
CONNECTIONS = 8
GROWTH_MAX_MB = 10.0
FILES_MAX = 8


@dataclass(frozen=True, slots=True)
class Measure:
    requests: int
    memory_mb: float
    files: int
    threads: int

    def line(self) -> str:
        return f"{self.requests:>9} {self.memory_mb:>10.1f} {self.files:>6} {self.threads:>8}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.flat", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    count = parser.parse_args().count
    print(f"{machine_text()}\n\n requests  memory MB  files  threads", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="llmops-flat-") as folder,
        servers(Path(folder)) as running,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return verdict(runner.run(measure(running, count)))


async def measure(running: Servers, count: int) -> list[Measure]:
    """One at the start and one after each of so many equal steps."""
    measures = [_look(running, 0)]
    for step in range(1, STEPS + 1):
        for name, share in MIX.items():
            await _send(running, name, count // STEPS * share // 100)
        measures.append(_look(running, step * (count // STEPS)))
    return measures


async def _send(running: Servers, name: str, requests: int) -> None:
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == name)
    body, port = scenario.body(scenario.route), running.gateway.port
    call = load.post("127.0.0.1", port, "/v1/chat/completions", body, KEY, scenario.expected)
    await load.run(call, requests=requests, connections=CONNECTIONS)


def _look(running: Servers, requests: int) -> Measure:
    pid = running.gateway.pid
    made = Measure(requests, memory_mb(pid), open_files(pid), threads(pid))
    print(made.line(), flush=True)
    return made


def verdict(measures: list[Measure]) -> int:
    warm, last = measures[max(1, len(measures) // 10)], measures[-1]
    grown_mb, more_files = last.memory_mb - warm.memory_mb, last.files - warm.files
    print(f"\nAfter the first {warm.requests} requests: {grown_mb:+.1f} MB, {more_files:+d} open files.")
    return 1 if grown_mb > GROWTH_MAX_MB or more_files > FILES_MAX else 0


if __name__ == "__main__":
    raise SystemExit(main())
