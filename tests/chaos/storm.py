"""`python -m tests.chaos.storm [SEED]`: an hour of random faults in a minute.

Each provider fails a fifth of what it is asked, in all its ways, drawn from a seed. Four processes serve thousands of
requests of both official SDKs, streamed and not; cool-downs and waits are a sixtieth of the defaults, time-outs as
short as a busy machine allows. Counted is what the agents got; the books and the providers' log must agree with it.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.simulator.faults import Fault, FaultKind
from tests.chaos.books import Books, budget_of_all, settled_books
from tests.chaos.cases import TAG
from tests.chaos.clients import Agents, Kind, Result, Sdk, agents
from tests.chaos.fleet import Fleet, fleet
from tests.gateway_process import CLAUDE, GPT_4_TURBO, configuration

SEED = 20261122
FAILING_SHARE = 0.2
DURATION_SECONDS = 60.0
AT_ONCE = 48
AVAILABILITY, FALLBACK_SUCCESS = 0.999, 0.95
COOLDOWN_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
ROUTE = "storm"
PROVIDERS = ("storm-openai", "storm-anthropic")
# Longer than the first-token time-out below.
_TOO_SLOW_SECONDS = 4.0
# Each ends an attempt, however it is asked, but for the malformed chunk, which a stream survives.
_WAYS: tuple[dict[str, Any], ...] = (
    {"kind": FaultKind.STATUS, "status": 500},
    {"kind": FaultKind.STATUS, "status": 503},
    {"kind": FaultKind.STATUS, "status": 429},
    {"kind": FaultKind.RESET},
    {"kind": FaultKind.HANG},
    {"kind": FaultKind.SLOW_FIRST_TOKEN, "seconds": _TOO_SLOW_SECONDS},
    {"kind": FaultKind.CUT, "after_tokens": 25},
    {"kind": FaultKind.STALL, "after_tokens": 35},
    {"kind": FaultKind.MALFORMED_CHUNK, "after_tokens": 10},
    {"kind": FaultKind.EMPTY_BODY},
    {"kind": FaultKind.WRONG_CONTENT_TYPE},
)
_SHARE_OF_EACH = 1 - (1 - FAILING_SHARE) ** (1 / len(_WAYS))


def storm_faults() -> list[Fault]:
    """What makes each provider fail a fifth of its requests, every way as often as the others."""
    return [Fault(tag=tag, share=_SHARE_OF_EACH, **way) for tag in PROVIDERS for way in _WAYS]


def sections(simulator_url: str) -> dict[str, list[dict[str, Any]]]:
    """Two providers, a route and a budget, to be added to a configuration."""
    common = {
        "api_key": "sk-simulated",
        "first_token_timeout_seconds": 1.5,
        "stall_timeout_seconds": 1.5,
        "attempt_timeout_seconds": 2.5,
        "backoff_seconds": 0.5 / 60,
        "backoff_max_seconds": 8 / 60,
        "breaker": {"failure_threshold": 5, "cooldown_seconds": COOLDOWN_SECONDS},
    }
    providers = [
        {"name": name, "kind": kind, "base_url": simulator_url + path, "extra_headers": {TAG: name}, **common}
        for name, kind, path in zip(PROVIDERS, ("openai", "anthropic"), ("/openai/v1", "/anthropic"), strict=True)
    ]
    models = (GPT_4_TURBO["model"], CLAUDE["model"])
    targets = [{"provider": name, "model": model} for name, model in zip(PROVIDERS, models, strict=True)]
    return {"providers": providers, "routes": [{"name": ROUTE, "targets": targets}], "budgets": [budget_of_all()]}


def document(simulator_url: str) -> dict[str, Any]:
    made, added = configuration(simulator_url), sections(simulator_url)
    return {**made, **{name: made[name] + more for name, more in added.items()}}


@dataclass(slots=True)
class Weather:
    """What came of it. `calls` are those that the simulator received."""

    results: list[Result]
    books: Books
    calls: dict[str, int]
    failed_calls: dict[str, int]
    seconds: float
    problems: list[str] = field(default_factory=list)

    @property
    def availability(self) -> float:
        return sum(result.kind is Kind.WHOLE for result in self.results) / len(self.results)

    @property
    def fallback_success(self) -> float:
        return self.books.fell_back_answered / self.books.fell_back if self.books.fell_back else 1.0


async def blow(running: Fleet, seed: int, *, requests: int | None = None, seconds: float = DURATION_SECONDS) -> Weather:
    """So many requests, or as many as fit into the time, 48 at once."""
    began = time.monotonic()
    draw = random.Random(seed)
    ids = [running.simulator.faults.add(fault) for fault in storm_faults()]
    results: list[Result] = []

    def more() -> bool:
        if requests is not None:
            return len(results) + AT_ONCE <= requests
        return time.monotonic() < began + seconds

    async def agent(clients: list[Agents]) -> None:
        while more():
            asks = draw.choice(clients).ask(draw.choice(list(Sdk)), ROUTE, stream=draw.random() < 0.5)
            results.append(await asks)

    async with agents(running.urls, PATIENCE_SECONDS) as clients:
        await asyncio.gather(*(agent(clients) for _ in range(AT_ONCE)))
    for fault in ids:
        running.simulator.faults.remove(fault)
    await asyncio.to_thread(running.simulator.log.wait_idle)
    return await asyncio.to_thread(_weather, running, results, time.monotonic() - began)


def _weather(running: Fleet, results: list[Result], seconds: float) -> Weather:
    rows = [row for row in running.simulator.log.rows() if row.headers.get(TAG) in PROVIDERS]
    calls = Counter(row.headers[TAG] for row in rows)
    failed = Counter(row.headers[TAG] for row in rows if row.fault)
    made = Weather(results, settled_books(running.data_dir), calls, failed, seconds)
    made.problems += [*made.books.problems, *_problems_of_results(results), *_problems_of_calls(made)]
    return made


def _problems_of_results(results: list[Result]) -> list[str]:
    """An agent gets a whole answer or a clear error; anything else is wrong, however rare."""
    unclear = [result for result in results if result.kind not in (Kind.WHOLE, Kind.ERROR)]
    return [f"{result.kind.value}: {result.request_id} {result.error or repr(result.text)}" for result in unclear[:5]]


def _problems_of_calls(made: Weather) -> list[str]:
    """Every call is in the books, and nobody was called more often than is configured."""
    problems = []
    for name in PROVIDERS:
        booked = made.books.sent.get(name, 0)
        if booked != made.calls.get(name, 0):
            problems.append(f"{name} was called {made.calls.get(name, 0)} times, {booked} are in the books")
    return problems


def report(made: Weather) -> str:
    kinds = Counter(result.kind for result in made.results)
    mean_seconds = sum(result.first_content_seconds or result.seconds for result in made.results) / len(made.results)
    lines = [
        f"{len(made.results)} requests in {made.seconds:.0f} s, {made.books.fell_back} fell back, breakers opened: "
        f"{sum(made.books.openings.get(name, 0) for name in PROVIDERS)}",
        *(
            f"{name:16} {made.calls[name]:6} calls, {made.failed_calls[name] / made.calls[name]:.1%} of them failed"
            for name in PROVIDERS
            if made.calls.get(name)
        ),
        f"availability     {made.availability:.3%} (objective {AVAILABILITY:.1%})",
        f"fallback success {made.fallback_success:.3%} (objective {FALLBACK_SUCCESS:.1%})",
        f"mean time to the answer (streams: first content) {mean_seconds:.2f} s",
        "what agents got  " + ", ".join(f"{count} x {kind.value}" for kind, count in kinds.most_common()),
    ]
    errors = Counter((r.status, r.code, r.error[:160]) for r in made.results if r.kind is not Kind.WHOLE)
    lines += [f"    {count} x {what}" for what, count in errors.most_common(8)]
    return "\n".join([*lines, *(f"WRONG: {problem}" for problem in made.problems)])


def main() -> int:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else SEED
    print(f"{(__doc__ or '').split(chr(10), 2)[2].strip()}\n\nSeed {seed}.", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="llmops-storm-") as name,
        fleet(Path(name), document, seed=seed) as running,
    ):
        made = asyncio.run(blow(running, seed))
    print(f"\n{report(made)}")
    missed = made.availability <= AVAILABILITY or made.fallback_success <= FALLBACK_SUCCESS
    return 1 if missed or made.problems else 0


if __name__ == "__main__":
    sys.exit(main())
