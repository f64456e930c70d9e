"""How long a login lasts: until nobody used it for a while, and a working day at most."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

STARTED, USED = "llmops_started", "llmops_used"
# Written down at most this often: a click need not cost a write to the database.
NOTED_EVERY_SECONDS = 60


class SessionLimits:
    """Middleware, right after the session's. Parts of pages that refresh themselves don't count as use."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SESSION_COOKIE_NAME in request.COOKIES and "_auth_user_id" in request.session:
            _limit(request, timezone.now().timestamp())
        return self._get_response(request)


def _limit(request: HttpRequest, now: float) -> None:
    session = request.session
    started, used = session.setdefault(STARTED, now), session.setdefault(USED, now)
    idle, whole = settings.LLMOPS_SESSION_IDLE_MINUTES * 60, settings.SESSION_COOKIE_AGE
    if now - used > idle or now - started > whole:
        session.flush()
    elif now - used >= NOTED_EVERY_SECONDS and not _refresh(request):
        session[USED] = now


def _refresh(request: HttpRequest) -> bool:
    return request.method == "GET" and request.headers.get("HX-Request") == "true"
