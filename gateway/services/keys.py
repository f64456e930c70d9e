"""Make and replace API keys. The key itself is shown once and never stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from typing import Any

from django.db import transaction

from gateway.models import ApiKey, Route, Team
from gateway.services.configuration import CHANGED, CREATED, change_record, configuration_changed

KEY_BEGINNING = "sk-llmops-"
_RANDOM_BYTES = 32  # 43 characters: nothing to guess, so a plain SHA-256 protects it
_SHOWN_CHARACTERS = 4


def key_hash(text: str) -> str:
    """SHA-256 in hex, which is what rows and snapshots know keys by."""
    return hashlib.sha256(text.encode()).hexdigest()


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

    Raises ValidationError when the name is taken or a field is out of range.
    """
    plain = key_generate()
    row = ApiKey(
        name=name, team=team, all_routes=routes is None, hash=key_hash(plain), prefix=key_prefix(plain), **fields
    )
    row.full_clean()
    row.save()
    row.routes.set(routes or ())
    change_record(actor=actor, action=CREATED, section="api_keys", name=name)
    configuration_changed()
    return row, plain


@transaction.atomic
def key_rotate(*, key: ApiKey, actor: str) -> str:
    """Give `key` a new text, returned once; the old one is refused as soon as the change is live."""
    plain = key_generate()
    key.hash, key.prefix = key_hash(plain), key_prefix(plain)
    key.save(update_fields=["hash", "prefix"])
    change_record(actor=actor, action=CHANGED, section="api_keys", name=key.name, after="a new key was made")
    configuration_changed()
    return plain
