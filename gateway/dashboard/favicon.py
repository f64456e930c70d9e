"""The small picture that browsers ask for at a fixed address."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.templatetags.static import static
from django.views.decorators.http import require_safe

PICTURE = "gateway/favicon.svg"


def favicon_url(request: HttpRequest | None = None) -> str:
    return static(PICTURE)


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    return HttpResponsePermanentRedirect(favicon_url())
