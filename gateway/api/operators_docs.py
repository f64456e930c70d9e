"""Who may read the description of the operators' API: whoever may use it. Nothing of it is secret, but it is a map."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from gateway.api.operators_access import operator_of_headers
from gateway.api.operators_errors import MISSING_KEY, error_reply
from gateway.engine.errors import GatewayError, NotAllowed, NotAuthenticated
from gateway.services.permissions import SEE_PAGES, may, missing_words


def for_operators(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """The page sends strangers to the login form; the description answers them 401."""

    @wraps(view, assigned=())
    def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if request.path.endswith("/docs") and not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        try:
            _require(request)
        except GatewayError as error:
            return error_reply(error)
        return view(request, **kwargs)

    return guarded


def _require(request: HttpRequest) -> None:
    """Raises NotAuthenticated, NotAllowed."""
    if operator_of_headers(request) is not None or may(request.user, SEE_PAGES):
        return
    raise NotAllowed(missing_words(SEE_PAGES)) if request.user.is_authenticated else NotAuthenticated(MISSING_KEY)
