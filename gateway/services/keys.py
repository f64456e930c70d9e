"""Make and replace API keys. The key itself is shown once and never stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from gateway.models import ApiKey, Route, Team
from gateway.services.configuration import CHANGED, CREATED, change_record, configuration_changed
from gateway.services.configuration_diff import plain_text

KEY_BEGINNING = "sk-llmops-"
_RANDOM_BYTES = 32  # 43 characters: nothing to guess, so a plain SHA-256 protects it
_SHOWN_CHARACTERS = 4
# For agents to be given the new key one after the other.
DEFAULT_OVERLAP = timedelta(hours=24)
NO_OVERLAP = timedelta(0)


def key_hash(text: str) -> str:
    """SHA-256 in hex, which is what rows and snapshots know keys by."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def key_prefix(text: str) -> str:
    """How a key begins, to recognise it by: `sk-llmops-ab12…`. Gives away four characters of it at most."""
    beginning = KEY_BEGINNING if text.startswith(KEY_BEGINNING) else ""
    return text[: len(beginning) + _SHOWN_CHARACTERS] + "…"


def key_generate() -> str:
    return KEY_BEGINNING + secrets.token_urlsafe(_RANDOM_BYTES)


@transaction.atomic
def key_create(
    *, name: str, actor: str, team: Team | None = None, routes: Iterable[Route] | None = None, **fields: Any
) -> tuple[ApiKey, str]:
    """A new key and its text, which nobody can find out again. `routes` None: all; `fields` are columns of ApiKey.

    Raises ValidationError when the name is taken, a field is out of range or the key could never be used.
    """
    plain = key_generate()
    allowed = None if routes is None else list(routes)
    key_check_usable(expires_at=fields.get("expires_at"), all_routes=allowed is None, routes=allowed or ())
    row = ApiKey(
        name=name, team=team, all_routes=allowed is None, hash=key_hash(plain), prefix=key_prefix(plain), **fields
    )
    row.full_clean()
    row.save()
    row.routes.set(allowed or ())
    after = _told(row, allowed)
    change_record(actor=actor, action=CREATED, section="api_keys", name=name, after=after)
    configuration_changed()
    return row, plain


_TOLD = ("role", "expires_at", "direct_models", "requests_per_minute", "tokens_per_minute", "max_parallel")


def _told(row: ApiKey, allowed: Collection[Route] | None) -> str:
    """The settings of a new key for the history; nothing of its text."""
    routes = "all" if allowed is None else ", ".join(route.name for route in allowed)
    rest = ", ".join(f"{name}={plain_text(getattr(row, name))}" for name in _TOLD)
    return f"team={row.team.name if row.team is not None else 'null'}, routes={routes}, {rest}"


def key_check_usable(*, expires_at: datetime | None, all_routes: bool, routes: Collection[Route]) -> None:
    """Raises ValidationError for a key that would be refused from its first request on."""
    if not all_routes and not routes:
        raise ValidationError({"routes": "Choose at least one route, or let the key use all routes."})
    if expires_at is not None and expires_at <= timezone.now():
        raise ValidationError({"expires_at": "This time has passed: the key would be refused from the start."})


@transaction.atomic
def key_rotate(*, key: ApiKey, actor: str, overlap: timedelta = DEFAULT_OVERLAP) -> str:
    """Give `key` a new text, returned once. The old one is taken until `overlap` is over; the one before it no more.

    With NO_OVERLAP the old one is refused as soon as the change is live.
    """
    plain, before = key_generate(), f"a key that begins with {key.prefix}"
    until = timezone.now() + overlap if overlap > NO_OVERLAP else None
    key.old_hash, key.old_prefix = (key.hash, key.prefix) if until is not None else ("", "")
    key.hash, key.prefix, key.overlap_until = key_hash(plain), key_prefix(plain), until
    key.save(update_fields=["hash", "prefix", "old_hash", "old_prefix", "overlap_until"])
    told = "a new key was made; the old one is " + (f"taken until {until:%Y-%m-%d %H:%M} UTC" if until else "refused")
    change_record(actor=actor, action=CHANGED, section="api_keys", name=key.name, before=before, after=told)
    configuration_changed()
    return plain


@transaction.atomic
def key_disable(*, key: ApiKey, actor: str, disabled: bool = True) -> None:
    """Refuse the key and the one it replaced, in every process within two seconds; or take them again."""
    if key.disabled is disabled:
        return
    key.disabled = disabled
    key.save(update_fields=["disabled"])
    before, after = (f"disabled={str(value).lower()}" for value in (not disabled, disabled))
    change_record(actor=actor, action=CHANGED, section="api_keys", name=key.name, before=before, after=after)
    configuration_changed()


def key_of_text(text: str) -> ApiKey | None:
    """The key in use that this text stands for, the old one of a rotation included while it is taken."""
    digest = key_hash(text)
    known = ApiKey.objects.alive().filter(Q(hash=digest) | Q(old_hash=digest, overlap_until__gt=timezone.now()))
    found: ApiKey | None = known.first()
    return found
