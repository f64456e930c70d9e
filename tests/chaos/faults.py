"""`python -m tests.chaos.faults`: the sixteen fault cases, judged from outside, in real time.

Four gateway processes with the default time-outs share a Redis; every case has a primary and one fallback of its own
and is asked as a stream by both official SDKs. What counts is what the client got and what the simulator's log says.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateway.simulator.log import LogRow
from tests.chaos.cases import CASES, OUTAGE, OUTAGE_COOLDOWN_SECONDS, OUTAGE_SECONDS, RUNS, TAG, Run
from tests.chaos.clients import Agents, Kind, Result, agents
from tests.chaos.fleet import Fleet, fleet
from tests.chaos.pace import REAL, Pace
from tests.gateway_process import CLAUDE, GPT_4_TURBO, GatewayProcess, configuration

PATIENCE_SECONDS = 60.0
OUTAGE_INTERVAL_SECONDS = 4.0
BACK_WITHIN_SECONDS = 30.0
THRESHOLD = 5
# US dollars per token of input and output, as `tests.gateway_process.configuration` sets them.
PRICES = {
    "gpt-4-turbo": (Decimal("0.00001"), Decimal("0.00003")),
    CLAUDE["model"]: (Decimal("0.000003"), Decimal("0.000015")),
}


@dataclass(slots=True)
class Finding:
    """What came of one run, and everything about it that is not as it must be."""

    run: Run
    outcome: str
    seconds: float
    first_seconds: float | None
    calls: tuple[int, int]
    billed_usd: Decimal
    problems: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        return "; ".join(self.problems) or "ok"


def document(simulator_url: str, pace: Pace, runs: Sequence[Run] = RUNS) -> dict[str, Any]:
    made = configuration(simulator_url)
    made["providers"] += [one for run in runs for one in run.providers(simulator_url, pace)]
    made["routes"] += [run.route() for run in runs]
    made["api_keys"] = [key for key in made["api_keys"] if "routes" not in key]
    return made


async def try_all(running: Fleet, pace: Pace, runs: Sequence[Run] = RUNS) -> list[Finding]:
    """Every run at the same time, each through another process."""
    async with agents(running.urls, PATIENCE_SECONDS) as clients:
        tried = [
            _try(running, clients[i % len(clients) :] + clients[: i % len(clients)], run, pace)
            for i, run in enumerate(runs)
        ]
        return list(await asyncio.gather(*tried))


async def _try(running: Fleet, clients: list[Agents], run: Run, pace: Pace) -> Finding:
    if run.case.number == OUTAGE:
        return await _try_outage(running, clients, run, pace)
    running.simulator.faults.add(replace(run.case.primary(pace), tag=run.primary))
    if run.case.fallback is not None:
        running.simulator.faults.add(replace(run.case.fallback, tag=run.fallback))
    result = await clients[0].ask(run.sdk, run.name)
    rows = await _rows_at_rest(running, run)
    calls = _count(rows, run.primary), _count(rows, run.fallback)
    finding = Finding(run, _outcome(result), result.seconds, result.first_content_seconds, calls, _bill_usd(rows))
    finding.problems += [*_problems_of_result(run, result, pace), *_problems_of_calls(run, calls)]
    finding.problems += await _problems_of_books(running.gateways[0], run, result, rows)
    return finding


# What the client got --------------------------------------------------------------------------------------------------


def _outcome(result: Result) -> str:
    return result.kind.value if result.kind is Kind.WHOLE else f"{result.kind.value} {result.status or ''}".strip()


def _problems_of_result(run: Run, result: Result, pace: Pace) -> list[str]:
    case, problems = run.case, []
    if case.status is None and result.kind is not Kind.WHOLE:
        problems.append(f"{result.kind.value} instead of a whole answer: {result.error or result.text!r}")
    if case.status is not None and (result.kind, result.status) != (Kind.ERROR, case.status):
        problems.append(f"{_outcome(result)} instead of an error {case.status}: {result.error}")
    if not pace.scaled(case.not_before_seconds) <= result.seconds <= pace.at_most(case.within_seconds):
        problems.append(f"ended after {result.seconds:.2f} s")
    if case.status is None and not case.parts and result.model != _model(run):
        problems.append(f"names the model {result.model!r}")
    return problems


def _model(run: Run) -> str:
    return CLAUDE["model"] if run.case.calls[1] else GPT_4_TURBO["model"]


# What the provider saw ------------------------------------------------------------------------------------------------


def rows_of(running: Fleet, name: str) -> list[LogRow]:
    return [row for row in running.simulator.log.rows() if row.headers.get(TAG) == name]


async def _rows_at_rest(running: Fleet, run: Run) -> list[LogRow]:
    """The run's rows once none of them is in flight: a call that was left is closed a moment after the answer."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        rows = rows_of(running, run.primary) + rows_of(running, run.fallback)
        if all(row.ended_monotonic is not None for row in rows) or time.monotonic() > end:
            return rows
        await asyncio.sleep(0.02)


def _count(rows: list[LogRow], name: str) -> int:
    return sum(row.headers.get(TAG) == name for row in rows)


def _problems_of_calls(run: Run, calls: tuple[int, int]) -> list[str]:
    if calls == run.case.calls:
        return []
    return [f"{calls[0]} + {calls[1]} calls instead of {run.case.calls[0]} + {run.case.calls[1]}"]


def _bill_usd(rows: list[LogRow]) -> Decimal:
    prices = [(row, PRICES[row.model]) for row in rows]
    return sum((row.input_tokens * i + row.output_tokens * o for row, (i, o) in prices), Decimal())


# What the books say ---------------------------------------------------------------------------------------------------


async def _problems_of_books(gateway: GatewayProcess, run: Run, result: Result, rows: list[LogRow]) -> list[str]:
    """Exactly the bill where the provider told the usage, never less where it did not; and the client was told it."""
    if not result.request_id:
        return ["the answer has no request id"]
    told = await asyncio.to_thread(gateway.get, f"/api/completions/{result.request_id}")
    cost_usd, bill_usd = Decimal(told["cost_usd"]), _bill_usd(rows)
    if told["billing"] == "estimated":
        return [] if cost_usd >= bill_usd else [f"the books say {cost_usd} USD, the bill {bill_usd}"]
    problems = [] if cost_usd == bill_usd else [f"the books say {cost_usd} USD, the bill {bill_usd}"]
    served = next((row for row in reversed(rows) if row.output_tokens), None)
    reported = (result.input_tokens, result.output_tokens)
    if result.kind is Kind.WHOLE and served and reported != (served.input_tokens, served.output_tokens):
        problems.append(f"usage told as {reported}, billed {served.input_tokens, served.output_tokens}")
    return problems


# The outage -----------------------------------------------------------------------------------------------------------


async def _try_outage(running: Fleet, clients: list[Agents], run: Run, pace: Pace) -> Finding:
    """A request every four seconds, to the processes in turn, through a minute of outage and the time after it."""
    fault = running.simulator.faults.add(replace(run.case.primary(pace), tag=run.primary))
    began, asked, ended_at = time.monotonic(), [], 0.0
    number = 0
    while number * OUTAGE_INTERVAL_SECONDS < OUTAGE_SECONDS + BACK_WITHIN_SECONDS:
        await _until(began + number * pace.of_outage(OUTAGE_INTERVAL_SECONDS))
        if not ended_at and number * OUTAGE_INTERVAL_SECONDS >= OUTAGE_SECONDS:
            running.simulator.faults.remove(fault)
            ended_at = time.monotonic()
        asked.append(asyncio.create_task(clients[number % len(clients)].ask(run.sdk, run.name)))
        number += 1
    results = list(await asyncio.gather(*asked))
    rows = await _rows_at_rest(running, run)
    return _judge_outage(run, results, rows, ended_at, pace)


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))


def _judge_outage(run: Run, results: list[Result], rows: list[LogRow], ended_at: float, pace: Pace) -> Finding:
    primary = [row for row in rows if row.headers.get(TAG) == run.primary]
    down = [row for row in primary if row.at_monotonic < ended_at]
    whole = sum(result.kind is Kind.WHOLE for result in results)
    slowest = max(result.seconds for result in results)
    firsts = [each.first_content_seconds for each in results if each.first_content_seconds is not None]
    calls = len(down), _count(rows, run.fallback)
    finding = Finding(
        run, f"{whole} of {len(results)} whole", slowest, max(firsts, default=None), calls, _bill_usd(rows)
    )
    allowed = THRESHOLD + _in_flight_at_opening(down) + _cooldowns(down, ended_at, pace)
    if whole != len(results):
        finding.problems.append(next(r.error or r.kind.value for r in results if r.kind is not Kind.WHOLE))
    if len(down) > allowed:
        finding.problems.append(f"{len(down)} calls to a dead primary, {allowed} allowed")
    back = [result.began for result in results if result.provider == run.primary and result.began >= ended_at]
    if not back or min(back) - ended_at > pace.of_outage(BACK_WITHIN_SECONDS) + pace.slack_seconds:
        finding.problems.append("not back on the primary in time")
    if slowest > pace.at_most(run.case.within_seconds):
        finding.problems.append(f"an answer took {slowest:.2f} s")
    return finding


def _in_flight_at_opening(down: list[LogRow]) -> int:
    """Calls that had begun before the fifth failure was known."""
    if len(down) < THRESHOLD:
        return 0
    opened = down[THRESHOLD - 1].ended_monotonic or 0.0
    return sum(row.at_monotonic < opened for row in down[THRESHOLD:])


def _cooldowns(down: list[LogRow], ended_at: float, pace: Pace) -> int:
    """One probe for each cool-down that was over before the outage."""
    if len(down) < THRESHOLD:
        return 0
    opened = down[THRESHOLD - 1].ended_monotonic or 0.0
    return int((ended_at - opened) / pace.of_outage(OUTAGE_COOLDOWN_SECONDS))


# The table ------------------------------------------------------------------------------------------------------------


def table(findings: Sequence[Finding]) -> str:
    lines = [
        f"{'':3} {'case':38} {'SDK':10} {'outcome':16} {'first':>6} {'whole':>6} {'calls':>7} {'billed USD':>10}  "
        "verdict"
    ]
    for finding in findings:
        run, first = finding.run, finding.first_seconds
        lines.append(
            f"{run.case.number:<3} {run.case.text:38} {run.sdk.value:10} {finding.outcome:16} "
            f"{'-' if first is None else f'{first:.2f}':>6} {finding.seconds:6.2f} "
            f"{finding.calls[0]:>3} + {finding.calls[1]:<2} {finding.billed_usd:>9.5f}  {finding.verdict}"
        )
    return "\n".join(lines)


def main() -> int:
    print(__doc__.split("\n\n", 1)[1].strip(), flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="llmops-faults-") as name,
        fleet(Path(name), lambda url: document(url, REAL)) as running,
    ):
        findings = asyncio.run(try_all(running, REAL))
    print(f"\n{table(findings)}\n")
    failed = sum(bool(finding.problems) for finding in findings)
    print(f"{len(findings) - failed} of {len(findings)} as they must be ({len(CASES)} cases, both SDKs).")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
