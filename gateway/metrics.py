"""What Prometheus is told: the instruments, and what is counted when a completion is settled. Labels are bounded.

Several processes serve: each counts in a file of its own under LLMOPS_METRICS_FOLDER (the settings tell the client
library), and a page adds them up (`gateway/api/metrics_page.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from django.conf import settings
from prometheus_client import Counter, Gauge, Histogram, values

from gateway.ledger.records import AttemptRecord, Intent, Settlement


def _process_identifier() -> Callable[[], int]:
    """This process's id, without asking the system at each count, as the client library would."""
    known = [os.getpid()]

    def renew() -> None:
        known[0] = os.getpid()

    os.register_at_fork(after_in_child=renew)
    return lambda: known[0]


# Before the first instrument: the library's way to say by what processes are told apart.
values.ValueClass = values.MultiProcessValue(_process_identifier())  # type: ignore[no-untyped-call]

Metric = TypeVar("Metric", Counter, Gauge, Histogram)

# Names come from the configuration, but for models asked for directly: so many of each kind, then "other".
LABEL_VALUES_MAX = 200
OTHER = "other"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)
_OWN_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

COMPLETIONS = Counter(
    "llmops_completions",
    "Requests of agents by outcome",
    ["route", "operation", "outcome", "provider", "model", "cache"],
)
REFUSALS = Counter("llmops_refusals", "Requests turned away before anything was reserved or sent", ["code"])
RESPONSE_SECONDS = Histogram(
    "llmops_response_seconds",
    "Until a plain answer was whole, or a stream had its first content",
    ["route", "stream"],
    buckets=_SECONDS,
)
FIRST_TOKEN_SECONDS = Histogram(
    "llmops_time_to_first_token_seconds", "Of streams, by who answered", ["provider", "model"], buckets=_SECONDS
)
OWN_SECONDS = Histogram(
    "llmops_overhead_seconds",
    "What a request waited for the gateway itself: reading it, routing, the ledger's two commits",
    buckets=_OWN_SECONDS,
)
TOKENS = Counter(
    "llmops_tokens", "Tokens of all attempts; input holds cached and written ones", ["provider", "model", "kind"]
)
COST_USD = Counter(
    "llmops_cost_usd", "What attempts cost (the ledger is exact, this is a float)", ["provider", "model"]
)
ATTEMPTS = Counter(
    "llmops_attempts", "Calls to targets, and targets left out (skipped)", ["provider", "model", "outcome", "failure"]
)
FALLBACKS = Counter("llmops_fallbacks", "Steps from one target to the next", ["route", "from_target", "to_target"])
IN_FLIGHT = Gauge("llmops_in_flight", "Attempts under way", ["provider"], multiprocess_mode="livesum")
QUEUED = Gauge("llmops_queued", "Attempts that wait for a place", ["provider"], multiprocess_mode="livesum")
LEDGER_QUEUE = Gauge("llmops_ledger_queue_depth", "Records that wait for their group", multiprocess_mode="livesum")
LEDGER_AWAY = Gauge("llmops_ledger_away", "Processes whose ledger can't write", multiprocess_mode="livesum")
LEDGER_COMMIT_SECONDS = Gauge(
    "llmops_ledger_last_commit_seconds", "The slowest process's last group", multiprocess_mode="livemax"
)
LEDGER_COMMITS = Counter("llmops_ledger_commits", "Groups written")


class _Names:
    """At most LABEL_VALUES_MAX different values; more of them are one."""

    def __init__(self) -> None:
        self._known: set[str] = {""}

    def __call__(self, value: str) -> str:
        if value in self._known:
            return value
        if len(self._known) > LABEL_VALUES_MAX:
            return OTHER
        self._known.add(value)
        return value


def _children(metric: Metric) -> Callable[..., Metric]:
    """What `metric.labels` gives, kept: the client library takes a lock and builds a key each time. As bounded as the
    labels are."""
    return cache(metric.labels)


_completions, _response_seconds = _children(COMPLETIONS), _children(RESPONSE_SECONDS)
_first_token_seconds = _children(FIRST_TOKEN_SECONDS)
_attempts, _tokens, _cost_usd = _children(ATTEMPTS), _children(TOKENS), _children(COST_USD)

_route, _provider, _model, _target, _code = _Names(), _Names(), _Names(), _Names(), _Names()


def completion_counted(intent: Intent, settlement: Settlement) -> None:
    """One settled completion with its attempts."""
    route, provider, model = _route(intent.route_name), _provider(settlement.provider), _model(settlement.model)
    outcome = settlement.status.value
    _completions(route, intent.operation, outcome, provider, model, settlement.cache).inc()
    if outcome == "answered":
        _time_counted(intent, settlement, route, provider, model)
    for attempt in settlement.attempts:
        _attempt_counted(attempt)
    for step in settlement.fallbacks:
        FALLBACKS.labels(route, _target(step.from_target), _target(step.to_target)).inc()


def _time_counted(intent: Intent, settlement: Settlement, route: str, provider: str, model: str) -> None:
    first_ms = settlement.first_content_ms
    if not intent.stream:
        _response_seconds(route, "false").observe(settlement.latency_ms / 1000)
    elif first_ms is not None:
        _response_seconds(route, "true").observe(first_ms / 1000)
        if settlement.provider:  # the cache's answers tell no provider's time
            _first_token_seconds(provider, model).observe(first_ms / 1000)


def _attempt_counted(attempt: AttemptRecord) -> None:
    provider, model = _provider(attempt.provider), _model(attempt.model)
    failure = "" if attempt.failure is None else attempt.failure.value
    _attempts(provider, model, attempt.outcome.value, failure).inc()
    usage = attempt.usage
    if usage.input_tokens or usage.output_tokens:
        for kind, tokens in (
            ("input", usage.input_tokens),
            ("cached_input", usage.cached_input_tokens),
            ("cache_write", usage.cache_write_tokens),
            ("output", usage.output_tokens),
            ("reasoning", usage.reasoning_tokens),
        ):
            if tokens > 0:
                _tokens(provider, model, kind).inc(tokens)
    if attempt.cost_usd > 0:
        _cost_usd(provider, model).inc(float(attempt.cost_usd))


def refusal_counted(code: str) -> None:
    REFUSALS.labels(_code(code)).inc()


def own_time_counted(seconds: float) -> None:
    OWN_SECONDS.observe(seconds)


def dead_forget() -> None:
    """Processes that are gone have nothing under way; what they counted stays."""
    for path in settings.LLMOPS_METRICS_FOLDER.glob("gauge_live*_*.db"):
        pid = path.stem.rpartition("_")[2]
        if pid.isdecimal() and not _lives(int(pid)):
            path.unlink(missing_ok=True)


def counts_forget() -> None:
    """Begin anew: no process of this machine counts now."""
    for path in settings.LLMOPS_METRICS_FOLDER.glob("*.db"):
        path.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
