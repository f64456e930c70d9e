"""Forgetting cached answers before their time."""

from __future__ import annotations

import logging

from django.conf import settings

from gateway.engine.errors import GatewayError
from gateway.models import Route
from gateway.services.configuration import CHANGED, change_record
from gateway.services.live import serving_runtime
from gateway.stores.answers import MemoryAnswers
from gateway.stores.redis_answers import purge_redis
from gateway.stores.redis_line import LineDown

logger = logging.getLogger("gateway.cache")


class CacheAway(GatewayError):
    """Redis, which has the answers, can't be reached."""

    status, code = 503, "cache_away"


def cache_purge(*, actor: str, route: Route | None = None, model: str | None = None) -> int:
    """Forget the answers of a route, of a model (`model` or `provider/model`), of both at once, or all.

    How many there were that could still have been given. What is being made meanwhile is not kept. With Redis it is the
    fleet's cache, without it this process's. Raises CacheAway.
    """
    route_id = None if route is None else route.pk
    purged = _purge(route_id, model or None)
    what = f"route={'all' if route is None else route.name} model={model or 'all'}"
    change_record(actor=actor, action=CHANGED, section="cache", name=what, after=f"{purged} answers forgotten")
    logger.warning("cache purged: %s, %d answers, by %s", what, purged, actor)
    return purged


def _purge(route_id: int | None, model: str | None) -> int:
    if settings.REDIS_URL:
        try:
            return purge_redis(settings.REDIS_URL, route_id, model)
        except LineDown as down:
            raise CacheAway(f"Redis, which has the cached answers, does not answer ({down}). Try again.") from None
    runtime = serving_runtime()
    store = None if runtime is None else runtime.answers.store
    return store.purge(route_id, model) if isinstance(store, MemoryAnswers) else 0
