"""What was asked and answered in one request, for those who may read it. Each look is recorded."""

from __future__ import annotations

from typing import cast

from django.contrib import admin
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from gateway.crypto import SecretUnreadable
from gateway.dashboard.access import render_page, to_login
from gateway.selectors.configuration import organisation_zone
from gateway.services.content_look import MAY_LOOK, content_is_kept, content_look

TITLE = "What was asked and answered"


@never_cache
@require_POST
def content(request: HttpRequest, request_id: str) -> HttpResponse:
    """Shown in answer to a form only, so that no link, prefetch or reload of a tab makes a look."""
    if not admin.site.has_permission(request):
        return to_login(request)
    if not _may_look(request):
        raise PermissionDenied(f"Your account lacks the permission {MAY_LOOK}; an administrator can grant it.")
    context: dict[str, object] = {"request_id": request_id}
    try:
        context["seen"] = content_look(request_id=request_id, actor=request.user.get_username())
    except SecretUnreadable as error:
        context["unreadable"] = str(error)
    with timezone.override(organisation_zone()):
        return render_page(request, "dashboard/content.html", TITLE, context)


def content_offered(request: HttpRequest, request_id: str) -> bool:
    """Whether this person may look, and there is something to look at."""
    return _may_look(request) and content_is_kept(request_id=request_id)


def _may_look(request: HttpRequest) -> bool:
    return cast("PermissionsMixin", request.user).has_perm(MAY_LOOK)
