"""What operations may order a breaker to do. Orders are rows: they reach every process and outlive all of them."""

from __future__ import annotations

import logging

from asgiref.sync import async_to_sync
from django.db import transaction

from gateway.models import Provider
from gateway.models.words import ForcedBreaker
from gateway.services.configuration import CHANGED, change_record, configuration_changed
from gateway.services.live import serving_runtime

logger = logging.getLogger("gateway.breaker")

_ORDER_COLUMNS = ("forced_breaker", "forced_breaker_reason")


class NotServing(Exception):
    """This process holds no breakers: only one that serves the agents' API can reset them."""


def breaker_force_open(*, provider: Provider, reason: str, actor: str) -> None:
    """Send nothing to the provider until somebody says otherwise; live in this process once committed."""
    _order(provider, ForcedBreaker.OPEN, reason, actor)


def breaker_force_closed(*, provider: Provider, reason: str, actor: str) -> None:
    """Always send, whatever fails; live in this process once committed."""
    _order(provider, ForcedBreaker.CLOSED, reason, actor)


def breaker_reset(*, provider: Provider, reason: str, actor: str) -> None:
    """Lift any order and begin anew: closed, nothing counted. Raises NotServing, and changes nothing, elsewhere.

    Breakers live in the process that serves, so that is where this has to be called.
    """
    if serving_runtime() is None:
        raise NotServing("breakers live in the process that serves the agents' API; this one doesn't")
    with transaction.atomic():
        _order(provider, None, reason, actor)
        transaction.on_commit(lambda: _reset_live(provider.name, f"reset by {actor}: {reason}"))


@transaction.atomic
def _order(provider: Provider, order: ForcedBreaker | None, reason: str, actor: str) -> None:
    row = Provider.objects.select_for_update().get(pk=provider.pk)
    before = _described(row.forced_breaker, row.forced_breaker_reason)
    row.forced_breaker = None if order is None else order.value
    row.forced_breaker_reason = "" if order is None else reason
    row.clean_fields(exclude=[field.name for field in row._meta.fields if field.name not in _ORDER_COLUMNS])
    row.save(update_fields=_ORDER_COLUMNS)
    after = _described(row.forced_breaker, reason)
    change_record(actor=actor, action=CHANGED, section="providers", name=row.name, before=before, after=after)
    configuration_changed()
    transaction.on_commit(lambda: _announce(row.name, actor, after))


def _described(order: str | None, reason: str) -> str:
    because = f" ({reason})" if reason else ""
    return f"forced_breaker={order or 'null'}{because}"


def _announce(name: str, actor: str, after: str) -> None:
    """Make it live here at once; other processes see the version move."""
    logger.warning("breaker provider=%s ordered by %s: %s", name, actor, after)
    runtime = serving_runtime()
    if runtime is not None:
        runtime.holder.poll()


def _reset_live(name: str, cause: str) -> None:
    runtime = serving_runtime()
    if runtime is None:
        return
    provider = runtime.snapshot.providers.get(name)
    if provider is not None:
        async_to_sync(runtime.breakers.reset)(provider, cause)
