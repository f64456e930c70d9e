"""Who may look, and what every page of the back office shares."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from gateway.dashboard.error_pages import no_access
from gateway.selectors.configuration import organisation_zone
from gateway.services.permissions import SEE_PAGES

View = TypeVar("View", bound=Callable[..., HttpResponse])


def back_office_page(view: View) -> View:
    """Let in staff who may see what pages are made of; show times in the organisation's zone.

    Strangers go to the login form, staff without the permission read whom to ask. An htmx refresh can't follow to
    the form, so the whole page is told to go.
    """

    @never_cache
    @require_safe
    @wraps(view)
    def guarded(request: HttpRequest, **kwargs: str) -> HttpResponse:
        if not admin.site.has_permission(request):
            return to_login(request)
        if not request.user.has_perm(SEE_PAGES):
            return no_access(request)
        with timezone.override(organisation_zone()):
            return view(request, **kwargs)

    return cast("View", guarded)


def render_page(
    request: HttpRequest, template: str, title: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """A whole page, inside the admin's frame: sidebar, header, theme."""
    return render(request, template, {**admin.site.each_context(request), "title": title, **context}, status=status)


def to_login(request: HttpRequest) -> HttpResponse:
    login = reverse("admin:login")
    if request.headers.get("HX-Request") != "true":
        return redirect_to_login(request.get_full_path(), login)
    response = HttpResponse(status=204)
    response["HX-Redirect"] = redirect_to_login(reverse("dashboard:overview"), login)["Location"]
    return response
