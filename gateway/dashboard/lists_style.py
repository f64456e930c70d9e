"""The style sheet of the admin's lists; unfold's settings name it as text, so settings import nothing."""

from __future__ import annotations

from django.http import HttpRequest
from django.templatetags.static import static


def lists_style_url(request: HttpRequest | None = None) -> str:
    return static("gateway/lists.css")
