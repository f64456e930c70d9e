"""What operations may order a breaker to do. Orders are rows: they reach every process and outlive all of them."""

from __future__ import annotations

import logging

from asgiref.sync import async_to_sync
from django.db import transaction
from django.utils import timezone

from gateway.engine.words import BreakerState
from gateway.models import BreakerStatus, BreakerTransition, Provider
from gateway.models.words import ForcedBreaker
from gateway.services.configuration import CHANGED, change_record, configuration_changed
from gateway.services.live import serving_runtime

logger = logging.getLogger("gateway.breaker")

_ORDER_COLUMNS = ("forced_breaker", "forced_breaker_reason")
_CAUSE_CHARACTERS = 300


class NotServing(Exception):
    """This process holds no breakers: only one that serves the agents' API can reset them."""


def breaker_force_open(*, provider: Provider, reason: str, actor: str) -> None:
    """Send nothing to the provider until somebody says otherwise; live in this process once committed."""
    _order(provider, ForcedBreaker.OPEN, reason, actor, f"forced open by {actor}: {reason}")


def breaker_force_closed(*, provider: Provider, reason: str, actor: str) -> None:
    """Always send, whatever fails; live in this process once committed."""
    _order(provider, ForcedBreaker.CLOSED, reason, actor, f"forced closed by {actor}: {reason}")


def breaker_release(*, provider: Provider, reason: str, actor: str) -> None:
    """Lift the order, if there is one: the breaker decides for itself again, from where it stands."""
    because = f": {reason}" if reason else ""
    _order(provider, None, reason, actor, f"released by {actor}{because}")


def breaker_reset(*, provider: Provider, reason: str, actor: str) -> None:
    """Lift any order and begin anew: closed, nothing counted. Raises NotServing, and changes nothing, elsewhere.

    Breakers live in the process that serves, so that is where this has to be called.
    """
    if serving_runtime() is None:
        raise NotServing("breakers live in the process that serves the agents' API; this one doesn't")
    cause = f"reset by {actor}: {reason}"[:_CAUSE_CHARACTERS]
    with transaction.atomic():
        _order(provider, None, reason, actor, cause, to_be_reset=True)
        transaction.on_commit(lambda: _reset_live(provider.name, cause))


@transaction.atomic
def _order(
    provider: Provider,
    order: ForcedBreaker | None,
    reason: str,
    actor: str,
    cause: str,
    *,
    to_be_reset: bool = False,
) -> None:
    row = Provider.objects.select_for_update().get(pk=provider.pk)
    forced_before = row.forced_breaker
    before = _described(forced_before, row.forced_breaker_reason)
    row.forced_breaker = None if order is None else order.value
    row.forced_breaker_reason = "" if order is None else reason
    row.clean_fields(exclude=[field.name for field in row._meta.fields if field.name not in _ORDER_COLUMNS])
    row.save(update_fields=_ORDER_COLUMNS)
    after = _described(row.forced_breaker, reason)
    _transition_record(row, forced_before, cause, to_be_reset=to_be_reset)
    change_record(actor=actor, action=CHANGED, section="providers", name=row.name, before=before, after=after)
    configuration_changed()
    transaction.on_commit(lambda: _announce(row.name, actor, after))


def _transition_record(row: Provider, forced_before: str | None, cause: str, *, to_be_reset: bool) -> None:
    """One row for what the order changes for requests; one also where it only keeps them as they are.

    A reset of a breaker that isn't closed is told by the breaker itself, so nothing is written of it here.
    """
    status = BreakerStatus.objects.filter(provider=row.name).first()
    own_state = status.state if status is not None else BreakerState.CLOSED.value
    if row.forced_breaker is None and (forced_before is None or (to_be_reset and own_state != BreakerState.CLOSED)):
        return
    BreakerTransition.objects.create(
        provider=row.name,
        at=timezone.now(),
        from_state=forced_before or own_state,
        to_state=row.forced_breaker or own_state,
        cause=cause[:_CAUSE_CHARACTERS],
        consecutive_failures=status.consecutive_failures if status is not None else 0,
        last_error=status.last_error if status is not None else "",
    )


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
