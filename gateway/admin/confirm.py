"""A page that asks before something is done that hurts: what will be different, one button to do it, one way back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

CONFIRMED = "confirmed"


def is_confirmed(request: HttpRequest) -> bool:
    return request.method == "POST" and request.POST.get(CONFIRMED) == "yes"


def confirm_page(
    request: HttpRequest,
    context: dict[str, Any],
    *,
    title: str,
    sentences: Iterable[str],
    back_url: str,
    button: str = "",
    action: str = "",
    rows: Iterable[Any] = (),
) -> HttpResponse:
    """`button` says what is done; without it there is only a way back. A list's `action` is sent again with `rows`;
    a page of one row is sent to itself."""
    fields = {"title": title, "sentences": tuple(sentences), "back_url": back_url, "button": button}
    fields |= {"action": action, "rows": tuple(rows), "checkbox": ACTION_CHECKBOX_NAME, "confirmed": CONFIRMED}
    return TemplateResponse(request, "admin/gateway/confirm.html", {**context, **fields})
