"""What needs attention now: open incidents with the page of what they are about, and messages that never arrived."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from gateway.dashboard.access import back_office_page
from gateway.dashboard.links import changelist_url
from gateway.selectors.incidents import Incident, deliveries_failed, incident_list

MOST_SHOWN = 8
FAILED_SINCE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class AttentionLine:
    """`about_url` is the page of what it concerns; "" if there is none."""

    incident: Incident
    title: str
    about_url: str


@back_office_page
def attention(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboard/partials/attention.html", attention_context(request))


def attention_context(request: HttpRequest) -> dict[str, Any]:
    """Two queries."""
    now = timezone.now()
    incidents = incident_list(open_only=True, kind=None, limit=MOST_SHOWN + 1)
    return {
        "attention": [_line(request, one) for one in incidents[:MOST_SHOWN]],
        "attention_more": len(incidents) > MOST_SHOWN,
        "incidents_url": changelist_url(request, "Alert", closed_at__isempty=1),
        "deliveries_failed": deliveries_failed(after=now - FAILED_SINCE),
        "deliveries_url": changelist_url(request, "AlertDelivery", given_up_at__isempty=0),
    }


def _line(request: HttpRequest, incident: Incident) -> AttentionLine:
    return AttentionLine(incident, incident.kind.replace("_", " ").capitalize(), _about_url(request, incident.about))


def _about_url(request: HttpRequest, about: str) -> str:
    kind, _, name = about.partition(" ")
    try:
        if kind == "provider":
            return reverse("dashboard:provider", args=[name])
        if kind == "budget" and request.user.has_perm("gateway.view_budget"):
            return reverse("admin:gateway_budget_change", args=[name])
    except NoReverseMatch:
        return ""
    return ""
