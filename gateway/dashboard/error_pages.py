"""What the back office shows when something can't be shown: in its own frame for staff, alone for everybody else.

Django calls these by `handler403` and so on of `llmops.urls`, and by `CSRF_FAILURE_VIEW`.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import DisallowedHost
from django.db import DatabaseError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from gateway.services.roles import ADMINISTRATOR

MOST_ADMINISTRATORS_NAMED = 5
MOST_CHARACTERS = 300
_NOT_ALLOWED = "You may not do this."


def no_access(request: HttpRequest) -> HttpResponse:
    """For staff to whom nobody gave a role yet."""
    title = "Your account has no role here yet"
    words = "You are logged in, but your account may not see these pages. An administrator can put it into a group."
    return _page(request, 403, title, words, "lock_person", ask=True)


def misunderstood(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """A name that isn't answered to comes before session and account are known."""
    words = "The request could not be understood."
    if isinstance(exception, DisallowedHost):
        words = "The gateway doesn't answer to the host name it was asked for. LLMOPS_ALLOWED_HOSTS has to list it."
    context = {"status": 400, "title": "Not like this", "words": words}
    return HttpResponse(render_to_string("errors/alone.html", context), status=400)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    words = str(exception or "")[:MOST_CHARACTERS] or _NOT_ALLOWED
    return _page(request, 403, "Not with this account", words, "lock_person", ask=True)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    told = exception.args[0] if exception is not None and exception.args else None
    words = told[:MOST_CHARACTERS] if isinstance(told, str) else "There is nothing at this address."
    return _page(request, 404, "Not found", words, "search_off")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    words = (
        "Nothing was changed: the form is older than your session, or cookies are refused. "
        "Go back, reload the page and try again. Behind a proxy LLMOPS_TRUSTED_ORIGINS has to name its address."
    )
    return _page(request, 403, "The form was out of date", words, "sync_problem")


def broken(request: HttpRequest) -> HttpResponse:
    """Needs neither database nor session: one of them may be what broke."""
    return HttpResponse(render_to_string("errors/alone.html", _words(500)), status=500)


def _words(status: int) -> dict[str, Any]:
    return {
        "status": status,
        "title": "Something broke on our side",
        "words": "Try again in a moment. The log of the gateway tells what happened.",
    }


def _page(request: HttpRequest, status: int, title: str, words: str, symbol: str, *, ask: bool = False) -> HttpResponse:
    context = {"status": status, "title": title, "words": words, "symbol": symbol}
    user = getattr(request, "user", None)
    try:
        if user is None or not admin.site.has_permission(request):
            return render(request, "errors/alone.html", context, status=status)
        if ask:
            context["administrators"] = administrators()
        return render(request, "errors/page.html", {**admin.site.each_context(request), **context}, status=status)
    except DatabaseError:
        return HttpResponse(render_to_string("errors/alone.html", context), status=status)


def administrators() -> list[str]:
    """Whom to ask: the first few who may grant permissions, with their address where one is known."""
    people = User.objects.filter(Q(is_superuser=True) | Q(groups__name=ADMINISTRATOR), is_active=True).distinct()
    return [
        f"{user.get_username()} ({user.email})" if user.email else user.get_username()
        for user in people.order_by("username")[:MOST_ADMINISTRATORS_NAMED]
    ]
