"""`python -m bench.inflight`: what one gateway process holds open at the same time.

500 streams that their provider keeps open by taking its time between tokens: the process's memory meanwhile. Then 2,000
requests that take the provider two seconds each, sent at once: all answered, all at the provider together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

import uvloop

from bench import load
from bench.books import KEY, document
from bench.clients import chat
from bench.fleet import fleet
from bench.machine import machine_text, memory_mb
from gateway.simulator import Fault, FaultKind, SimulatorThread
from gateway.simulator.log import LogRow

TAKES_SECONDS = 2.0
STREAMS = 500
STREAM_MEMORY_AFTER_SECONDS = 2.0
SLOW_TOKEN_SECONDS = 0.2
TOKENS = 30


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.inflight", description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    count = parser.parse_args().count
    print(f"{machine_text()}\n")
    with (
        tempfile.TemporaryDirectory(prefix="llmops-inflight-") as name,
        SimulatorThread() as simulator,
        fleet(Path(name), _document(simulator.url), processes=1) as gateway,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        pid = gateway.pids[0]
        runner.run(load.run(_call(gateway.port), requests=100, connections=8))
        print(f"memory after 100 requests              {memory_mb(pid):6.0f} MB")

        simulator.faults.add(Fault(kind=FaultKind.SLOW_TOKENS, seconds=SLOW_TOKEN_SECONDS))
        print(f"memory with {STREAMS} open streams           {runner.run(_streams(gateway.port, pid)):6.0f} MB")
        simulator.faults.clear()

        simulator.faults.add(Fault(kind=FaultKind.SLOW_HEADERS, seconds=TAKES_SECONDS))
        before, began = len(simulator.log.rows()), time.monotonic()
        times = runner.run(load.run(_call(gateway.port), requests=count, connections=count))
        rows = simulator.log.rows()[before:]
        print(
            f"{count} requests of {TAKES_SECONDS:g} s at once:         "
            f"{len(times)} answered in {time.monotonic() - began:.1f} s, {most_at_once(rows)} at the provider together"
        )
        print(f"memory afterwards                      {memory_mb(pid):6.0f} MB")
    return 0 if len(times) == count == most_at_once(rows) else 1


def _document(url: str) -> dict[str, object]:
    """Time-outs that outlast a burst."""
    made = document(url, [])
    waits = {"attempt_timeout_seconds": 30, "first_token_timeout_seconds": 30, "stall_timeout_seconds": 30}
    return {**made, "providers": [{**provider, **waits} for provider in made["providers"]]}


def _call(port: int, *, stream: bool = False) -> load.Call:
    asked = chat(f"[[tokens: {TOKENS if stream else 12}]] Say something.", model="openai-only", stream=stream)
    expected = b"data: [DONE]" if stream else b'"usage"'
    return load.post("127.0.0.1", port, "/v1/chat/completions", json.dumps(asked).encode(), KEY, expected)


async def _streams(port: int, pid: int) -> float:
    """Memory while all are open."""
    running = asyncio.create_task(load.run(_call(port, stream=True), requests=STREAMS, connections=STREAMS))
    await asyncio.sleep(STREAM_MEMORY_AFTER_SECONDS)
    held_mb = memory_mb(pid)
    await running
    return held_mb


def most_at_once(rows: list[LogRow]) -> int:
    """The most that were under way at the provider at the same moment."""
    steps = sorted(
        [(row.at_monotonic, 1) for row in rows] + [(row.ended_monotonic, -1) for row in rows if row.ended_monotonic]
    )
    most = now = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most


if __name__ == "__main__":
    raise SystemExit(main())
