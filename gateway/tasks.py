"""Celery's tasks: sweeps over the database, each of which may run twice, late or not at all without harm."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from gateway.alerts.channel import channel_send
from gateway.alerts.outbox import deliveries_send
from gateway.alerts.retention import incidents_prune
from gateway.alerts.sweep import alerts_derive
from gateway.ledger.connections import ledger_connections, ledger_lock_path
from gateway.ledger.drain import dead_spools_drain
from gateway.ledger.sweep import orphans_settle
from gateway.models import Batch
from gateway.services.batch_create import batches_expire
from gateway.services.content_retention import content_prune
from gateway.services.idempotency_retention import idempotency_expire
from gateway.services.provider_health import health_probes_run
from gateway.services.retention import completions_prune
from gateway.services.rollups import rollups_refresh
from gateway.services.task_signs import worker_sign


@shared_task(name="gateway.alerts_sweep")
def alerts_sweep() -> None:
    """Turns what has happened into alerts and delivers what is due."""
    alerts_derive(now=timezone.now())
    deliveries_send(now=timezone.now(), send=channel_send)


@shared_task(name="gateway.orphans_settle")
def orphans_sweep() -> None:
    """Writes what dead processes had spooled, then settles what they left open: at its reservation, as unknown."""
    connection = ledger_connections()()
    try:
        dead_spools_drain(connection, settings.LLMOPS_SPOOL_FOLDER, lock_path=ledger_lock_path())
        orphans_settle(connection, timezone.now(), lock_path=ledger_lock_path())
    finally:
        connection.close()


@shared_task(name="gateway.health_probes")
def health_probes() -> None:
    """Gives the worker's sign of life, and asks the providers whose scheduled probe is due how they are."""
    worker_sign(now=timezone.now())
    health_probes_run(now=timezone.now())


@shared_task(name="gateway.idempotency_expire")
def idempotency_sweep() -> None:
    """Removes the answers that were kept for repeated requests, once their day is over."""
    idempotency_expire(now=timezone.now())


@shared_task(name="gateway.rollups_refresh")
def rollups_sweep() -> None:
    """Adds up the usage of hours that are over, and of those that have changed since."""
    rollups_refresh(now=timezone.now())


@shared_task(name="gateway.completions_prune")
def retention_sweep() -> None:
    """Deletes requests, what was asked and answered in them, and incidents that are older than they shall be kept."""
    content_prune(now=timezone.now())
    completions_prune(now=timezone.now())
    incidents_prune(now=timezone.now())


@shared_task(name="gateway.batches_advance")
def batches_sweep() -> None:
    """Takes every batch under way as many steps on as can be taken now."""
    if Batch.objects.filter(ended_at=None).exists():
        from gateway.services.batch_sweep import batches_advance  # the SDKs come with it, and take seconds

        batches_advance()


@shared_task(name="gateway.batches_expire")
def batch_retention_sweep() -> None:
    """Forgets files and batches whose time is over."""
    batches_expire(now=timezone.now())
