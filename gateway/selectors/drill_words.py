"""A drill and its report in sentences, for commands and pages."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.ledger.money import extra_words, usd_text
from gateway.selectors.drills import FEWEST_ANSWERS, AddedLatency, DrillLine, DrillReport


def line_words(line: DrillLine) -> str:
    """One line of a list."""
    ended = f"ended {line.ended_at:%Y-%m-%d %H:%M} UTC"
    state = f"running until {line.ends_at:%H:%M:%S} UTC" if line.running else ended
    note = f"  {line.note}" if line.note else ""
    return f"{line.id}  {line.fault} at {line.subject}, {line.share_percent} % of {keys_words(line)}  {state}{note}"


def keys_words(line: DrillLine) -> str:
    return f"the requests of {', '.join(line.keys)}" if line.keys else "all requests"


def report_words(report: DrillReport) -> Iterator[str]:
    """The report, a sentence per fact."""
    yield line_words(report.drill)
    yield f"{report.affected} requests affected: {report.answered} answered, {report.failed} failed."
    if report.rescued_percent is not None:
        yield f"{report.rescued} were answered by another target: {report.rescued_percent:.1f} % rescued."
    for fault, count in report.faults:
        yield f"Injected {count} times: {fault}."
    if report.held_back:
        yield f"{report.held_back} attempts were spared by the drill's breaker."
    yield latency_words(report.latency)
    extra = extra_words(report.extra_usd)
    yield f"{extra[0].upper()}{extra[1:]}; spoiled answers were charged ${usd_text(report.spoiled_usd)}."
    for step in report.transitions:
        yield f"{step.at:%H:%M:%S} breaker of {step.provider}: {step.from_state} to {step.to_state}, {step.cause}."


def latency_words(latency: AddedLatency) -> str:
    if latency.mean_ms is None or latency.p95_ms is None:
        drilled, undrilled = latency.drilled.answers, latency.undrilled.answers
        return (
            f"Too few answers to say how much slower it got: {drilled} drilled, {undrilled} undrilled on the same"
            f" routes (at least {FEWEST_ANSWERS} of each are needed)."
        )
    return f"Answers came {latency.mean_ms:+.0f} ms on average and {latency.p95_ms:+d} ms at the 95th percentile."
