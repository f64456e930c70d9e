"""Pages around a key: confirm what can't be taken back, and show a new key once, in the answer that made it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers

from gateway.models import ApiKey


def secrets_page(request: HttpRequest, context: dict[str, Any], made: Sequence[tuple[ApiKey, str]]) -> HttpResponse:
    """The only place a new key is ever shown: not in a message, whose cookie would keep it."""
    page = TemplateResponse(request, "admin/key_secrets.html", {**context, "title": "New API key", "made": made})
    add_never_cache_headers(page)
    return page


def confirmation_page(
    request: HttpRequest, context: dict[str, Any], keys: Sequence[ApiKey], *, action: str, title: str, sentence: str
) -> HttpResponse:
    """Asks before `action` is done; its form sends the action again with `confirmed`."""
    fields = {"keys": keys, "action": action, "sentence": sentence, "checkbox": ACTION_CHECKBOX_NAME}
    return TemplateResponse(request, "admin/key_confirmation.html", {**context, "title": title, **fields})
