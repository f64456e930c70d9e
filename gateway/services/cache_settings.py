"""What a route's cache setting is in the snapshot."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import orjson

from gateway import models
from gateway.engine.configuration import RouteCache, Target
from gateway.models.words import CacheScope


def route_cache(row: models.Route, targets: Iterable[tuple[bool, Target]]) -> RouteCache | None:
    """None where the route's answers are not kept."""
    if not row.cache_enabled:
        return None
    shared = row.cache_scope == CacheScope.ROUTE
    return RouteCache(row.cache_ttl_seconds, shared, targets_fingerprint(targets, row.max_output_tokens))


def targets_fingerprint(targets: Iterable[tuple[bool, Target]], max_output_tokens: int) -> str:
    """Who answers, in which order, where and with which headers: what else of a route may change an answer."""
    told = [
        [simple, one.provider.id, one.provider.kind, one.provider.base_url, one.model, dict(one.provider.extra_headers)]
        for simple, one in targets
    ]
    text = orjson.dumps([told, max_output_tokens], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=16).hexdigest()
