"""The admin's first page; who may see nothing of it reads whom to ask, instead of an empty page."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from gateway.dashboard.error_pages import no_access


def admin_index(request: HttpRequest) -> HttpResponse:
    if not request.user.get_all_permissions():
        return no_access(request)
    return admin.site.index(request)
