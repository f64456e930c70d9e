"""The page that shows a new key, once, in the answer that made it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers

from gateway.models import ApiKey


def secrets_page(request: HttpRequest, context: dict[str, Any], made: Sequence[tuple[ApiKey, str]]) -> HttpResponse:
    """The only place a new key is ever shown: not in a message, whose cookie would keep it."""
    page = TemplateResponse(request, "admin/key_secrets.html", {**context, "title": "New API key", "made": made})
    add_never_cache_headers(page)
    return page
