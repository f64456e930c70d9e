"""Whether Celery's worker and beat are alive, as far as the database tells."""

from __future__ import annotations

import asyncio
from datetime import datetime

from django.db import DatabaseError, connection
from django.utils import timezone

from gateway.models import TaskSign
from gateway.models.task_sign import WORKER

# The sign is given every five seconds; what is missing six times in a row is not just late.
SILENT_AFTER_SECONDS = 30
READ_SECONDS = 1.0
RUNNING = "running"


def worker_sign(*, now: datetime) -> None:
    """The worker runs the tasks that beat sends."""
    TaskSign.objects.update_or_create(name=WORKER, defaults={"at": now})


def worker_words(*, now: datetime) -> str:
    """RUNNING, or since when nothing was heard. Raises DatabaseError."""
    at = TaskSign.objects.filter(name=WORKER).values_list("at", flat=True).first()
    if at is None:
        return "no sign yet: alerts, probes and roll-ups wait for Celery's worker and beat"
    silent_seconds = round((now - at).total_seconds())
    if silent_seconds <= SILENT_AFTER_SECONDS:
        return RUNNING
    return f"silent for {silent_seconds} s: alerts, probes and roll-ups wait; look at Celery's worker and beat"


def worker_runs(*, now: datetime) -> bool:
    """Whether it was heard of lately. Raises DatabaseError."""
    return worker_words(now=now) == RUNNING


async def worker_words_soon() -> str:
    """As `worker_words`, from the event loop, within a second and raising nothing."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await asyncio.to_thread(_read)
    except (DatabaseError, TimeoutError):
        return "not known: the database does not answer"


def _read() -> str:
    try:
        return worker_words(now=timezone.now())
    finally:
        connection.close()
