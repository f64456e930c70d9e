"""Which parts there are on this machine, and how each is started."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.engine.words import Wire
from gateway.supervisor.spec import DEFAULT_APP, Part, Role

DRAIN_SECONDS = 120  # most streams are shorter
# Once drained a worker tells and settles what it cut and stops its ledger: LONGEST_STOP_SECONDS (gateway.ledger.writer)
# at most, which it takes while the database is away. Past that it hangs.
DRAIN_MARGIN_SECONDS = 15.0
SEND_TIMEOUT_SECONDS = 60
TASK_THREADS = 4  # so that one slow alert channel does not hold up the sweeps

# `up` has run Django's checks; theirs would import the URLs, and with them the vendors' SDKs.
WITHOUT_CHECKS = {"CELERY_SKIP_CHECKS": "1"}


def gateway_part(
    number: int,
    listener_fd: int,
    *,
    app: str = DEFAULT_APP,
    drain_seconds: int = DRAIN_SECONDS,
    send_timeout_seconds: int = SEND_TIMEOUT_SECONDS,
    kinds: Sequence[Wire] = (),
    environment: Mapping[str, str] | None = None,
) -> Part:
    bounds = ("--drain-seconds", str(drain_seconds), "--send-timeout-seconds", str(send_timeout_seconds))
    options = ("--fd", str(listener_fd), "--app", app, *bounds, *(f"--sdk={kind}" for kind in kinds))
    return Part(
        name=f"gateway worker {number}",
        role=Role.GATEWAY,
        command=(sys.executable, "-m", "gateway.supervisor.web", *options),
        environment=environment or {},
        listener_fd=listener_fd,
        stop_timeout_seconds=drain_seconds + DRAIN_MARGIN_SECONDS,
    )


def simulator_part(manage: Path, port: int) -> Part:
    return Part(
        name="simulator",
        role=Role.UPSTREAM,
        command=(sys.executable, str(manage), "simulate", "--port", str(port)),
        ready_port=port,
    )


def task_worker_part() -> Part:
    options = ("--pool", "threads", "--concurrency", str(TASK_THREADS), "--loglevel", "WARNING")
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    return Part(
        name="Celery worker",
        role=Role.BACKGROUND,
        command=(*_celery("worker"), *options, *quiet),
        environment=WITHOUT_CHECKS,
    )


def task_clock_part(data_dir: Path) -> Part:
    options = ("--schedule", str(data_dir / "celerybeat-schedule"), "--pidfile", "", "--loglevel", "WARNING")
    return Part(
        name="Celery beat", role=Role.BACKGROUND, command=(*_celery("beat"), *options), environment=WITHOUT_CHECKS
    )


def _celery(verb: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "celery", "--app", "llmops", "--quiet", verb)
