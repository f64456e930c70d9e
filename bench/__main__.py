"""`python -m bench`: what a request costs through the gateway with everything on, beside a bare pass-through.

`--peers` puts other gateways beside it, installed from their packages (docs/performance.md).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import uvloop

from bench import load, peers
from bench.held import Held, held
from bench.machine import machine_text, memory_mb
from bench.measure import alone, in_rounds
from bench.report import METHOD, PEERS_METHOD, Run, report
from bench.scenarios import SCENARIOS, Scenario
from bench.servers import servers
from bench.systems import GATEWAY, PASS_THROUGH, System, own_systems

ROUNDS_MAX = 7  # the fallback scenario's primary fails every time; at 1,000 failures its breaker would open
# More than this over the pass-through means that something on the request path got expensive (docs/performance.md).
RATIO_MAX = {"a": 10.0, "b": 5.0}


def main() -> int:
    options = _options()
    chosen = [scenario for scenario in SCENARIOS if not options.only or scenario.name in options.only.split(",")]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmops-bench-")))
        running = stack.enter_context(servers(folder))
        systems, absent = own_systems(running), list[str]()
        if options.peers:
            url = f"http://127.0.0.1:{running.simulator.port}"
            beside, absent = stack.enter_context(peers.started(url, folder))
            systems += beside
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                run = runner.run(measure(systems, chosen, options.rounds, briefly=options.check))
            except load.BadAnswer as error:
                sys.stderr.write(f"The benchmark stopped at a wrong answer:\n{error}\n")
                sys.stderr.write((folder / "gateway.log").read_text(errors="replace")[-2000:])
                return 1
        print("\n".join([*_head(systems, options.rounds), *absent, "", report(run, systems, chosen)]))
    return failed_checks(run.measured.cpu_ms) if options.check else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, choices=range(1, ROUNDS_MAX + 1), default=5, metavar="N")
    parser.add_argument("--only", help="scenarios, such as a,b,f")
    parser.add_argument(
        "--check", action="store_true", help="the rounds alone; fail when the gateway costs too much of a pass-through"
    )
    parser.add_argument("--peers", action="store_true", help="LiteLLM and Portkey beside it (pip, npm; minutes)")
    return parser.parse_args()


async def measure(systems: Sequence[System], chosen: Sequence[Scenario], rounds: int, *, briefly: bool) -> Run:
    """`briefly`: the rounds alone, without single requests and open streams."""
    idle_mb = _memory(systems)
    measured = await in_rounds(systems, chosen, rounds)
    if briefly:
        return Run(measured, {}, idle_mb, _memory(systems), {})
    seconds = await alone(systems)
    after_mb = _memory(systems)
    found = {system.name: await held(system) for system in systems}
    open_streams: dict[str, Held] = {name: each for name, each in found.items() if each is not None}
    return Run(measured, seconds, idle_mb, after_mb, open_streams)


def _memory(systems: Sequence[System]) -> dict[str, float]:
    return {system.name: memory_mb(system.pid) for system in systems if system.pid}


def _head(systems: Sequence[System], rounds: int) -> list[str]:
    versions = ", ".join(f"{system.name} {system.version}" for system in systems if system.version)
    return [
        machine_text(),
        "",
        METHOD.format(rounds=rounds),
        *([PEERS_METHOD.format(versions=versions)] if versions else []),
    ]


def failed_checks(cpu_ms: Mapping[tuple[str, str], Sequence[float]]) -> int:
    """How many scenarios cost more than their bound; says which.

    It takes each one's best round: what else the machine does adds to a figure and never takes away from it.
    """
    failed = 0
    for name, bound in RATIO_MAX.items():
        if (GATEWAY, name) not in cpu_ms:
            continue
        found = min(cpu_ms[GATEWAY, name]) / min(cpu_ms[PASS_THROUGH, name])
        if found > bound:
            failed += 1
            sys.stderr.write(
                f"Scenario {name} costs {found:.1f} times a bare pass-through; at most {bound:g} is allowed.\n"
            )
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
