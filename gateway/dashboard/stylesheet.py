"""What every page of the back office mends of unfold's own looks. `UNFOLD["STYLES"]` names it as text."""

from __future__ import annotations

from django.http import HttpRequest
from django.templatetags.static import static


def stylesheet_url(request: HttpRequest) -> str:
    return static("gateway/unfold.css")
