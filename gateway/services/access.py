"""Who is calling, and what their key may use."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

from gateway.engine.configuration import Route
from gateway.engine.errors import ModelNotFound, NotAllowed, NotAuthenticated
from gateway.services.direct_models import direct_route
from gateway.services.snapshot import ApiKey, Snapshot

MISSING_KEY = (
    "No API key. Send it as `Authorization: Bearer sk-llmops-…` or `x-api-key: sk-llmops-…`; "
    "keys are made in the back office under API keys."
)


def presented_key(headers: Mapping[str, str]) -> str:
    """The key of `Authorization: Bearer KEY` or `x-api-key: KEY` (names in lower case); "" if there is none."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    return headers.get("x-api-key", "").strip()


def authenticate(snapshot: Snapshot, headers: Mapping[str, str], now: datetime) -> ApiKey:
    """The key's record. Raises NotAuthenticated for a missing, unknown, expired or disabled key."""
    text = presented_key(headers)
    if not text:
        raise NotAuthenticated(MISSING_KEY)
    key = snapshot.keys.get(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
    if key is None:
        raise NotAuthenticated("Unknown API key.")
    key_check(key, now)
    return key


def key_check(key: ApiKey, now: datetime) -> None:
    """Raises NotAuthenticated for a key that is known and not taken."""
    if key.disabled:
        raise NotAuthenticated(f"The API key {key.name!r} is disabled.")
    if key.expires_at is not None and key.expires_at <= now:
        raise NotAuthenticated(f"The API key {key.name!r} expired on {key.expires_at:%Y-%m-%d %H:%M} UTC.")


def allowed_routes(snapshot: Snapshot, key: ApiKey) -> list[Route]:
    """The routes this key may use, in order of name, each once."""
    routes = {route.name: route for route in snapshot.routes.values()}
    return [route for name, route in sorted(routes.items()) if key.routes is None or name in key.routes]


def route_for(snapshot: Snapshot, key: ApiKey, model: str) -> Route:
    """The route that `model` names. Raises ModelNotFound or NotAllowed, naming what the key may use."""
    route = snapshot.routes.get(model)
    if route is None and key.direct_models and (direct := direct_route(snapshot, model)) is not None:
        return direct
    if route is None:
        sentence = f"There is no route named {model!r}. This key may use: {_allowed_names(snapshot, key)}."
        raise ModelNotFound(sentence, param="model")
    if key.routes is not None and route.name not in key.routes:
        sentence = f"This key may not use the route {route.name!r}. It may use: {_allowed_names(snapshot, key)}."
        raise NotAllowed(sentence, param="model")
    return route


def _allowed_names(snapshot: Snapshot, key: ApiKey) -> str:
    return ", ".join(route.name for route in allowed_routes(snapshot, key)) or "none"
