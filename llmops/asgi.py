"""The ASGI application: the agents' API by its short way, everything else through Django's stock handler."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops.settings")

from django.core.asgi import get_asgi_application

_django = get_asgi_application()

from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.exceptions import SuspiciousFileOperation
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import Http404, HttpRequest

from gateway.api.asgi import ApiHandler, Send
from gateway.api.presence import Receive, Scope
from gateway.api.public import check_key
from gateway.dashboard.content_policy import POLICY
from gateway.services.runtime import runtime_break_off, runtime_start, runtime_stop
from llmops.back_office import back_office_read

_api = ApiHandler(max_body_bytes=settings.LLMOPS_MAX_BODY_BYTES, check_headers=check_key)


class StaticFiles(ASGIStaticFilesHandler):
    """A path that leaves the folder of static files is not found, instead of an error of ours."""

    def serve(self, request: HttpRequest) -> Any:
        try:
            return super().serve(request)
        except SuspiciousFileOperation as error:
            raise Http404 from error

    async def get_response_async(self, request: HttpRequest) -> Any:
        """What isn't found is a page, and these never reach the middleware."""
        response = await super().get_response_async(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response


class Scrape(ASGIRequest):
    """Prometheus asks each machine by its address, which LLMOPS_ALLOWED_HOSTS has no reason to list. A browser's login
    counts for nothing: to read it would take the database, which this page must do without."""

    COOKIES: Mapping[str, str] = MappingProxyType({})  # type: ignore[assignment]

    def get_host(self) -> str:
        return self.headers.get("Host", "")


class Metrics(ASGIHandler):
    request_class = Scrape

    def resolve_request(self, request: HttpRequest) -> Any:
        request.urlconf = "gateway.api.metrics_urls"  # type: ignore[attr-defined]
        return super().resolve_request(request)


_back_office = StaticFiles(_django)
_metrics = Metrics()

API_PATHS = ("/v1/", "/healthz", "/readyz")
METRICS_PATH = "/metrics"


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(scope, receive, send)
    elif scope["type"] == "http" and scope["path"].startswith(API_PATHS):
        await _api(scope, receive, send)
    elif scope["type"] == "http" and scope["path"] == METRICS_PATH:
        await _metrics(cast("Any", scope), receive, cast("Any", send))
    else:
        await back_office_read()
        await _back_office(cast("Any", scope), receive, cast("Any", send))


async def _lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Start and stop what serves, with the server's event loop. The server may call the state's `break_off` before."""
    scope.get("state", {})["break_off"] = _break_off
    while True:
        message: Any = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await runtime_start()
            except Exception as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                raise
            await send({"type": "lifespan.startup.complete"})
        else:
            await runtime_stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


def _break_off() -> None:
    runtime_break_off()
    _api.break_off()
