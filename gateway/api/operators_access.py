"""Who may use the operators' API: keys of role `operator`, and people logged in to the back office."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils import timezone
from ninja.security import APIKeyHeader, HttpBearer
from ninja.security.session import SessionAuth
from ninja.utils import check_csrf

from gateway.engine.errors import NotAllowed, NotAuthenticated
from gateway.models import ApiKey
from gateway.models.words import KeyRole
from gateway.services.access import presented_key
from gateway.services.keys import key_of_text
from gateway.services.permissions import SEE_PAGES, may, missing_words
from gateway.services.runtime import running_runtime


@dataclass(frozen=True, slots=True)
class Operator:
    """`actor` is what the history of changes calls them; `user` is the person, None for a key."""

    actor: str
    user: Any = None

    def require(self, permission: str) -> None:
        """Raises NotAllowed for a person without it; an operator's key may do everything."""
        if self.user is not None and not self.user.has_perm(permission):
            raise NotAllowed(missing_words(permission))


def operator_allowed(request: HttpRequest, permission: str) -> Operator:
    """Whoever asks. Raises NotAllowed for a person without the permission."""
    operator: Operator = request.auth  # type: ignore[attr-defined]
    operator.require(permission)
    return operator


class BearerKey(HttpBearer):
    """`Authorization: Bearer KEY`."""

    def authenticate(self, request: HttpRequest, token: str) -> Operator | None:
        return _operator_of(token.strip()) if token.strip() else None


class HeaderKey(APIKeyHeader):
    """`x-api-key: KEY`."""

    param_name = "x-api-key"

    def authenticate(self, request: HttpRequest, key: str | None) -> Operator | None:
        return _operator_of(key.strip()) if key and key.strip() else None


class BackOfficeSession(SessionAuth):
    """A person of the back office who may see its pages. What changes something also needs the CSRF token, and a
    permission that its operation asks for (`Operator.require`).
    """

    def __call__(self, request: HttpRequest) -> Operator | None:
        user = cast("Any", request.user)
        if isinstance(user, AnonymousUser) or not user.is_active:
            return None
        if not may(user, SEE_PAGES):
            raise NotAllowed(missing_words(SEE_PAGES))
        if check_csrf(request) is not None:
            raise NotAllowed("The CSRF token is missing or wrong; send the csrftoken cookie's value as X-CSRFToken.")
        return Operator(actor=user.get_username(), user=user)


def operator_of_headers(request: HttpRequest) -> Operator | None:
    """Whose key came along, None without one. Raises NotAuthenticated, NotAllowed."""
    text = presented_key({name.lower(): value for name, value in request.headers.items()})
    return _operator_of(text) if text else None


OPERATOR_AUTH = [BearerKey(), HeaderKey(), BackOfficeSession()]


def _note_use(key: ApiKey) -> None:
    """In a process that serves, where somebody writes it; it is worth no query of its own."""
    with suppress(RuntimeError):
        running_runtime().key_uses.note(key.pk, timezone.now())


def _operator_of(text: str) -> Operator:
    """Read from the key's row, so that a disabled key is refused at once. Raises NotAuthenticated, NotAllowed."""
    key = key_of_text(text)
    if key is None:
        raise NotAuthenticated("Unknown API key.")
    if key.disabled:
        raise NotAuthenticated(f"The API key {key.name!r} is disabled.")
    if key.expires_at is not None and key.expires_at <= timezone.now():
        raise NotAuthenticated(f"The API key {key.name!r} expired on {key.expires_at:%Y-%m-%d %H:%M} UTC.")
    if key.role != KeyRole.OPERATOR:
        raise NotAllowed(f"The API key {key.name!r} has the role {key.role}; this needs a key with the role operator.")
    _note_use(key)
    return Operator(actor=f"API key {key.name}")
