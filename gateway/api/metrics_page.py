"""`GET /metrics`: this machine's processes added up, and what the database and the configuration know."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterator

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from gateway import metrics as instruments
from gateway.selectors.breaker_status import breaker_states
from gateway.selectors.budget_status import budget_standings
from gateway.selectors.ledger_spool import ledger_spool_state
from gateway.services.live import live_state
from gateway.services.task_signs import worker_runs

OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")
_STATES = {"closed": 0, "half_open": 1, "open": 2}
# A budget of each conversation has as many subjects as there are conversations: those nearest their limit are told.
SUBJECTS_PER_BUDGET = 20


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """With LLMOPS_METRICS_TOKEN for whoever sends it as a bearer token, without it for this machine only."""
    if not may_read(request):
        return HttpResponse(
            "Send LLMOPS_METRICS_TOKEN as a bearer token; without one set, only this machine is answered, and only at\n"
            "its own address or a name that LLMOPS_ALLOWED_HOSTS lists.\n",
            status=403,
            content_type="text/plain; charset=utf-8",
        )
    instruments.dead_forget()
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(settings.LLMOPS_METRICS_FOLDER))  # type: ignore[no-untyped-call]
    registry.register(_Fleet())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def may_read(request: HttpRequest) -> bool:
    token = settings.LLMOPS_METRICS_TOKEN
    if token:
        scheme, _, sent = request.headers.get("Authorization", "").partition(" ")  # RFC 9110, 11.1: in any case
        return scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), token.encode())
    # Behind a proxy on this machine everybody's address would be this machine's.
    forwarded = any(name in request.headers for name in ("Forwarded", "X-Forwarded-For"))
    return not forwarded and _is_loopback(request.META.get("REMOTE_ADDR", "")) and _named_as_ours(request)


def _named_as_ours(request: HttpRequest) -> bool:
    """Whether the host is one of ours: a browser of this machine may be led here by a name of somebody else's."""
    name, _ = split_domain_port(request.headers.get("Host", ""))
    return validate_host(name, [*OWN_NAMES, *settings.ALLOWED_HOSTS])


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class _Fleet(Collector):
    """What is the same whichever process is asked."""

    def collect(self) -> Iterator[Metric]:
        built = GaugeMetricFamily("llmops_build_info", "Always 1: which version this is", labels=["version"])
        built.add_metric([settings.LLMOPS_VERSION], 1)
        yield built
        spool = ledger_spool_state()
        yield GaugeMetricFamily("llmops_ledger_spool_records", "What waits for the database here", value=spool.records)
        try:
            families = [*self._tasks(), *self._breakers(), *self._budgets()]
        except DatabaseError:
            families = []
        yield GaugeMetricFamily("llmops_database_up", "Whether this page could read it", value=bool(families))
        yield from families

    def _tasks(self) -> Iterator[Metric]:
        runs = worker_runs(now=timezone.now())
        yield GaugeMetricFamily("llmops_tasks_running", "Whether Celery's worker gave a sign lately", value=runs)

    def _breakers(self) -> Iterator[Metric]:
        state = GaugeMetricFamily("llmops_breaker_state", "0 closed, 1 half-open, 2 open", labels=["provider"])
        failures = GaugeMetricFamily(
            "llmops_breaker_consecutive_failures", "Since the last success", labels=["provider"]
        )
        live = live_state()
        readings = {name: one.reading for name, one in live.providers.items()} if live else {}
        for view in breaker_states(readings=readings):
            state.add_metric([view.provider], _STATES[view.state])
            failures.add_metric([view.provider], view.consecutive_failures)
        yield state
        yield failures

    def _budgets(self) -> Iterator[Metric]:
        labels = ["budget", "scope", "subject"]
        left = GaugeMetricFamily("llmops_budget_remaining_usd", "Room left in the current window", labels=labels)
        limit = GaugeMetricFamily("llmops_budget_limit_usd", "With the raises in force", labels=labels)
        for standing in budget_standings(now=timezone.now(), subjects_per_budget=SUBJECTS_PER_BUDGET):
            names = [standing.name, standing.scope, standing.subject or ""]
            left.add_metric(names, float(standing.remaining_usd))
            limit.add_metric(names, float(standing.limit_usd))
        yield left
        yield limit
