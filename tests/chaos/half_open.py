"""`python -m tests.chaos.half_open`: how many calls a fleet lets through to a provider that may be well again.

Four processes, fifty requests at each at the same moment, with the cool-down just over. While the probe is under way
the simulator's log must show that one call and no other; then the process that probes is killed in the middle of it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.log import LogRow
from tests.chaos.cases import TAG
from tests.chaos.clients import Agents, Kind, Result, Sdk, agents
from tests.chaos.fleet import Fleet, fleet
from tests.gateway_process import CLAUDE, GPT_4_TURBO, GatewayProcess, configuration

REQUESTS_PER_PROCESS = 50
THRESHOLD = 5
COOLDOWN_SECONDS = 1.0
HOLD_SECONDS = 2.5  # how long the probe takes; everybody must have asked by then
KNOWN_WITHIN_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
# A dead prober's fence: its wait for a place, its time-out, and the grace (gateway/engine/breaker.py).
QUEUE_SECONDS, ATTEMPT_SECONDS, GRACE_SECONDS = 0.2, 1.0, 5.0
FENCE_SECONDS = QUEUE_SECONDS + ATTEMPT_SECONDS + GRACE_SECONDS
HALF_OPEN, KILLED = "half-open", "prober-killed"
ROUNDS = 6


@dataclass(slots=True)
class Round:
    """`probes` are the calls at the primary while the first one was under way, that one included; `turned_away` the
    requests that went to the fallback meanwhile."""

    text: str
    known_seconds: float
    probes: int
    turned_away: int
    problems: list[str] = field(default_factory=list)


def sections(simulator_url: str) -> dict[str, list[dict[str, Any]]]:
    """Providers and routes of both stories, to be added to a configuration."""
    breaker = {"failure_threshold": THRESHOLD, "cooldown_seconds": COOLDOWN_SECONDS}
    short = {"attempt_timeout_seconds": ATTEMPT_SECONDS, "first_token_timeout_seconds": ATTEMPT_SECONDS}
    providers, routes = [], []
    for name, fields in ((HALF_OPEN, {}), (KILLED, {**short, "queue_timeout_seconds": QUEUE_SECONDS})):
        primary = {"kind": "openai", "base_url": f"{simulator_url}/openai/v1", "breaker": breaker, "retries": 0}
        for role, facts in (
            ("primary", {**primary, **fields}),
            ("fallback", {"kind": "anthropic", "base_url": f"{simulator_url}/anthropic"}),
        ):
            who = f"{name}-{role}"
            providers.append({"name": who, "api_key": "sk-simulated", "extra_headers": {TAG: who}, **facts})
        targets = [(f"{name}-primary", GPT_4_TURBO), (f"{name}-fallback", CLAUDE)]
        routes.append({"name": name, "targets": [{"provider": p, "model": t["model"]} for p, t in targets]})
    return {"providers": providers, "routes": routes}


def document(simulator_url: str) -> dict[str, Any]:
    made, added = configuration(simulator_url), sections(simulator_url)
    return {**made, **{name: made[name] + more for name, more in added.items()}}


# The steps of a story -------------------------------------------------------------------------------------------------


def primary_rows(running: Fleet, route: str, since: int = 0) -> list[LogRow]:
    rows = running.simulator.log.rows(since=since)
    return [row for row in rows if row.headers.get(TAG) == f"{route}-primary"]


def state(gateway: GatewayProcess, route: str) -> str:
    return str(gateway.get(f"/api/breakers/{route}-primary")["state"])


async def open_breaker(running: Fleet, clients: list[Agents], route: str) -> float:
    """Five failures through the first process. Gives the seconds until all processes know of the opening.

    All are asked once before: a process reads in the back office with its first page (decision 26), which isn't timed.
    """
    await asyncio.gather(*(asyncio.to_thread(state, gateway, route) for gateway in running.gateways))
    fault = running.simulator.faults.add(Fault(kind=FaultKind.STATUS, tag=f"{route}-primary", status=503))
    for _ in range(THRESHOLD):
        await clients[0].ask(Sdk.OPENAI, route)
    opened = time.monotonic()
    await asyncio.gather(*(asyncio.to_thread(_wait_until_open, gateway, route) for gateway in running.gateways))
    running.simulator.faults.remove(fault)
    return time.monotonic() - opened


def _wait_until_open(gateway: GatewayProcess, route: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while state(gateway, route) == "closed":
        assert time.monotonic() < end, f"{gateway.url} never heard of the opening"


async def reset(running: Fleet, route: str) -> None:
    body = {"action": "reset", "reason": "the round is over"}
    await asyncio.to_thread(running.gateways[-1].post, f"/api/breakers/{route}-primary", body)


async def everybody(clients: list[Agents], route: str) -> list[Result]:
    asked = [each.ask(Sdk.OPENAI, route) for _ in range(REQUESTS_PER_PROCESS) for each in clients]
    return list(await asyncio.gather(*asked))


# Rounds ---------------------------------------------------------------------------------------------------------------


async def one_round(running: Fleet, clients: list[Agents], *, succeeds: bool) -> Round:
    """All ask at once when the cool-down is over; the probe takes three seconds and succeeds, or fails."""
    known_seconds = await open_breaker(running, clients, HALF_OPEN)
    since = max(row.seq for row in running.simulator.log.rows())
    add = running.simulator.faults.add
    faults = [add(Fault(kind=FaultKind.SLOW_HEADERS, tag=f"{HALF_OPEN}-primary", seconds=HOLD_SECONDS))]
    if not succeeds:
        faults.append(add(Fault(kind=FaultKind.STATUS, tag=f"{HALF_OPEN}-primary", status=503)))
    await asyncio.sleep(COOLDOWN_SECONDS * 1.1)
    results = await everybody(clients, HALF_OPEN)
    for fault in faults:
        running.simulator.faults.remove(fault)
    await reset(running, HALF_OPEN)
    told = f"the probe {'succeeds' if succeeds else 'fails'}"
    return _judge(told, running, results, since, known_seconds, closed_for=0 if succeeds else COOLDOWN_SECONDS)


def _judge(
    text: str, running: Fleet, results: list[Result], since: int, known_seconds: float, closed_for: float
) -> Round:
    rows = primary_rows(running, HALF_OPEN, since)
    if not rows:
        return Round(text, known_seconds, 0, 0, ["nobody probed"])
    ended = (rows[0].ended_monotonic or float("inf")) + closed_for
    probes = sum(row.at_monotonic < ended for row in rows)
    calls = running.simulator.log.rows(since=since)
    turned_away = sum(row.provider == "anthropic" and row.at_monotonic < ended for row in calls)
    made = Round(text, known_seconds, probes, turned_away)
    if probes != 1:
        made.problems.append(f"{probes} calls at the primary")
    if known_seconds > KNOWN_WITHIN_SECONDS:
        made.problems.append(f"the opening was known to all after {known_seconds:.2f} s")
    made.problems += _unanswered(results)
    return made


def _unanswered(results: list[Result]) -> list[str]:
    lost = [result for result in results if result.kind is not Kind.WHOLE]
    return [f"{len(lost)} requests without an answer, such as {lost[0].error}"] if lost else []


async def prober_killed(running: Fleet, clients: list[Agents]) -> Round:
    """The first process takes the probe and is killed; the others must wait for its fence, and then probe once."""
    known_seconds = await open_breaker(running, clients, KILLED)
    since = max(row.seq for row in running.simulator.log.rows())
    fault = running.simulator.faults.add(Fault(kind=FaultKind.HANG, tag=f"{KILLED}-primary"))
    await asyncio.sleep(COOLDOWN_SECONDS * 1.1)
    doomed = asyncio.create_task(clients[0].ask(Sdk.OPENAI, KILLED))
    seen = running.simulator.log.wait_until
    await asyncio.to_thread(seen, lambda _: bool(primary_rows(running, KILLED, since)), PATIENCE_SECONDS)
    os.kill(running.gateways[0].pid, signal.SIGKILL)
    lost = await doomed
    results = await _ask_past_the_fence(running, clients[1:], since)
    running.simulator.faults.remove(fault)
    made = _judge_killed(primary_rows(running, KILLED, since), known_seconds, results)
    if lost.kind is not Kind.CONNECTION:
        made.problems.append(f"the killed process's client got {lost.kind.value}")
    return made


async def _ask_past_the_fence(running: Fleet, clients: list[Agents], since: int) -> list[Result]:
    """Everybody left, again and again, until one of them has probed."""
    results: list[Result] = []
    end = time.monotonic() + FENCE_SECONDS * 3
    while len(primary_rows(running, KILLED, since)) < 2 and time.monotonic() < end:
        results += await everybody(clients, KILLED)
    return results


def _judge_killed(rows: list[LogRow], known_seconds: float, results: list[Result]) -> Round:
    made = Round("the prober is killed (kill -9)", known_seconds, 1, len(results) - len(rows) + 1)
    if len(rows) < 2:
        made.problems.append("nobody has probed after the dead prober")
    elif rows[1].at_monotonic - rows[0].at_monotonic < FENCE_SECONDS - 0.1:
        made.problems.append(f"probed again after {rows[1].at_monotonic - rows[0].at_monotonic:.2f} s")
    for before, row in pairwise(rows[1:]):  # on a slow machine a burst may outlast a probe and its cool-down
        if row.at_monotonic < (before.ended_monotonic or float("inf")) + COOLDOWN_SECONDS - 0.1:
            made.problems.append("two probes at once")
            made.probes += 1
    made.problems += _unanswered(results)
    return made


def table(rounds: list[Round]) -> str:
    lines = [f"{'round':34} {'opening known to all':>20} {'probes':>7} {'sent to the fallback':>21}  verdict"]
    for made in rounds:
        lines.append(
            f"{made.text:34} {made.known_seconds:>18.2f} s {made.probes:>7} {made.turned_away:>21}  "
            f"{'; '.join(made.problems) or 'ok'}"
        )
    return "\n".join(lines)


async def all_rounds(running: Fleet, rounds: int) -> list[Round]:
    async with agents(running.urls, PATIENCE_SECONDS) as clients:
        made = [await one_round(running, clients, succeeds=bool(number % 2)) for number in range(rounds)]
        return [*made, await prober_killed(running, clients)]


def main() -> int:
    print((__doc__ or "").split("\n\n", 1)[1].strip(), flush=True)
    with tempfile.TemporaryDirectory(prefix="llmops-half-open-") as name, fleet(Path(name), document) as running:
        rounds = asyncio.run(all_rounds(running, ROUNDS))
    print(f"\n{table(rounds)}")
    return 1 if any(made.problems for made in rounds) else 0


if __name__ == "__main__":
    sys.exit(main())
