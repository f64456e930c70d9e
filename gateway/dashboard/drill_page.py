"""A fire drill's report, its Stop button, and the banner that everybody sees while one runs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from gateway.dashboard.access import back_office_page, render_page, to_login
from gateway.dashboard.links import changelist_url
from gateway.dashboard.request_query import requests_url
from gateway.models import Drill
from gateway.selectors.drill_words import keys_words, latency_words
from gateway.selectors.drills import drill_report, drills_running
from gateway.services.drills import drill_stop
from gateway.services.permissions import STOP_DRILLS, missing_words


@back_office_page
def drill(request: HttpRequest, drill_id: int) -> HttpResponse:
    report = drill_report(drill_id=drill_id, now=timezone.now())
    if report is None:
        raise Http404(f"There is no fire drill {drill_id}.")
    context = {
        "report": report,
        "drill": report.drill,
        "keys": keys_words(report.drill),
        "latency": latency_words(report.latency),
        "may_stop": may_stop(request),
        "drills_url": changelist_url(request, "Drill"),
        "requests_url": requests_url(window="all", drill=drill_id),
    }
    return render_page(request, "dashboard/drill.html", f"Fire drill {drill_id}", context)


@require_POST
def stop(request: HttpRequest, drill_id: int) -> HttpResponse:
    """Whoever may change drills stops one from wherever its button stands. Raises PermissionDenied."""
    if not admin.site.has_permission(request):
        return to_login(request)
    if not may_stop(request):
        raise PermissionDenied(missing_words(STOP_DRILLS))
    stopped = drill_stop(drill=get_object_or_404(Drill, pk=drill_id), actor=str(request.user))
    messages.success(request, f"Fire drill {drill_id} {'is stopped' if stopped else 'was over already'}.")
    return HttpResponseRedirect(reverse("dashboard:drill", args=[drill_id]))


def may_stop(request: HttpRequest) -> bool:
    return bool(request.user.has_perm(STOP_DRILLS))


def banner_context(request: HttpRequest) -> dict[str, Any]:
    return {"drills": drills_running(now=timezone.now()), "may_stop_drill": may_stop(request)}
