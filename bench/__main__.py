"""`python -m bench`: CPU per request of the gateway with everything on, and of a bare pass-through, in one run."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import uvloop

from bench import load
from bench.machine import cpu_seconds, machine_text, memory_mb
from bench.scenarios import SCENARIOS, Scenario
from bench.servers import KEY, Server, Servers, servers

WARM_UP_REQUESTS = 20
BARE_TIMES = 4  # so many more requests to the pass-through: the kernel counts CPU time in steps of 10 ms
ALONE_REQUESTS = 100
ROUNDS_MAX = 8  # the fallback scenario's primary fails every time; at 1,000 failures its breaker would open
# More than this over the pass-through means that something on the request path got expensive (docs/performance.md).
RATIO_MAX = {"a": 14.0, "b": 7.0}

METHOD = """\
CPU time (user + system) per request of the process, from /proc, in milliseconds; median of {rounds} rounds in which
gateway and pass-through took turns. Gateway: key check, routing, breaker, three budgets, ledger (SQLite), one process.
Pass-through: the same server and HTTP client, bytes and nothing else. Upstream: the simulator, a process of its own."""

Results = dict[tuple[str, str], list[float]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, choices=range(1, ROUNDS_MAX + 1), default=5)
    parser.add_argument("--only", help="scenarios, such as a,b,f")
    parser.add_argument("--check", action="store_true", help="fail when the gateway costs too much of a pass-through")
    options = parser.parse_args()
    chosen = [scenario for scenario in SCENARIOS if not options.only or scenario.name in options.only.split(",")]
    with tempfile.TemporaryDirectory(prefix="llmops-bench-") as folder, servers(Path(folder)) as running:
        idle_mb = memory_mb(running.gateway.pid)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                results = runner.run(measure(running, chosen, options.rounds))
                added_ms = runner.run(added_latency_ms(running))
            except load.BadAnswer as error:
                sys.stderr.write(f"The benchmark stopped at a wrong answer:\n{error}\n")
                sys.stderr.write((Path(folder) / "gateway.log").read_text(errors="replace")[-2000:])
                return 1
        print(report(results, chosen, options.rounds))
        print(f"\nAdded latency, one request at a time: {added_ms:.2f} ms (median, plain).")
        print(
            f"Memory of the gateway process: {idle_mb:.0f} MB idle, {memory_mb(running.gateway.pid):.0f} MB afterwards."
        )
    return failed_checks(results) if options.check else 0


async def measure(running: Servers, chosen: list[Scenario], rounds: int) -> Results:
    results: Results = {}
    for number in range(rounds + 1):
        for scenario in chosen:
            for who, server, call in _calls(running, scenario):
                times = 1 if server is running.gateway else BARE_TIMES
                requests = scenario.requests * times if number else WARM_UP_REQUESTS
                cost_ms = await _cpu_ms(server, call, requests, scenario.connections)
                if number:
                    results.setdefault((who, scenario.name), []).append(cost_ms)
    return results


def _calls(running: Servers, scenario: Scenario) -> list[tuple[str, Server, load.Call]]:
    path = "/v1/chat/completions"
    gateway, passthrough = running.gateway, running.passthrough
    body = scenario.body(scenario.route)
    calls = [("gateway", gateway, load.post("127.0.0.1", gateway.port, path, body, KEY, scenario.expected))]
    if scenario.model is not None:
        bare = load.post("127.0.0.1", passthrough.port, path, scenario.body(scenario.model), KEY, scenario.expected)
        calls.append(("pass-through", passthrough, bare))
    return calls


async def _cpu_ms(server: Server, call: load.Call, requests: int, connections: int) -> float:
    before = cpu_seconds(server.pid)
    await load.run(call, requests=requests, connections=connections)
    return (cpu_seconds(server.pid) - before) * 1000 / requests


async def added_latency_ms(running: Servers) -> float:
    """Through the gateway less straight to the upstream, one request at a time."""
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == "a")
    assert scenario.model is not None
    body = scenario.body(scenario.model)
    direct = load.post("127.0.0.1", running.simulator.port, "/openai/v1/chat/completions", body, KEY, b'"usage"')
    through = _calls(running, scenario)[0][2]
    median: Callable[[list[float]], float] = statistics.median
    times = [median(await load.run(call, requests=ALONE_REQUESTS, connections=1)) for call in (through, direct)]
    return (times[0] - times[1]) * 1000


def report(results: Results, chosen: list[Scenario], rounds: int) -> str:
    lines = [machine_text(), "", METHOD.format(rounds=rounds), ""]
    lines.append(f"{'':4} {'scenario':52} {'gateway':>10} {'pass-through':>13} {'ratio':>6}")
    for scenario in chosen:
        ours = statistics.median(results["gateway", scenario.name])
        bare = results.get(("pass-through", scenario.name))
        other = (
            f"{statistics.median(bare):13.2f} {ours / statistics.median(bare):6.1f}" if bare else f"{'-':>13} {'-':>6}"
        )
        lines.append(f"{scenario.name:4} {scenario.text:52} {ours:10.2f} {other}")
    return "\n".join(lines)


def failed_checks(results: Results) -> int:
    """How many scenarios cost more than their bound; says which."""
    failed = 0
    for name, bound in RATIO_MAX.items():
        if ("gateway", name) not in results:
            continue
        ratio = statistics.median(results["gateway", name]) / statistics.median(results["pass-through", name])
        if ratio > bound:
            failed += 1
            sys.stderr.write(
                f"Scenario {name} costs {ratio:.1f} times a bare pass-through; at most {bound:g} is allowed.\n"
            )
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
