"""Every address that people and scripts read, over what a filled database holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.contrib import admin
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from gateway.models import Completion, Drill

DASHBOARD = (
    "/",
    "/?period=7d&team=team-3",
    "/?period=30d",
    "/?period=month&model=gpt-4-turbo&route=route-1",
    "/dashboard/providers/",
    "/dashboard/service/",
    "/dashboard/figures/?period=1h",
    "/dashboard/figures/?period=30d",
    "/dashboard/recent/",
    "/dashboard/drills/",
    "/spend/",
    "/spend/?period=7d&by=team",
    "/spend/?period=30d&by=model",
    "/spend/?period=30d&by=api_key&team=team-3",
    "/spend/table.csv?period=30d&by=api_key",
    "/breakers/",
    "/breakers/live/",
    "/providers/openai/",
    "/providers/anthropic/live/",
    "/conversations/",
    "/models/",
    "/requests/live/",
)
LOG = (
    *({}, {"window": "30d"}, {"window": "all"}),
    *({"outcome": outcome} for outcome in ("failed", "answered", "unknown")),
    *({"team": "team-3"}, {"key": "key-3"}, {"route": "route-1"}, {"asked": "none such"}, {"provider": "anthropic"}),
    *({"model": "o3"}, {"conversation": "c-9"}, {"error": "none_such"}, {"cache": "hit"}, {"fallback": "yes"}),
    *({"stream": "yes"}, {"cost": "0.09"}, {"latency": "5000"}, {"latency": "90000", "window": "30d"}),
)
SCRIPTS = (
    "/api/breakers",
    "/api/breakers/openai",
    "/api/budgets",
    "/api/alerts",
    "/api/keys",
    "/api/drills",
    "/api/status",
    "/metrics",
)
SPEND_GROUPS = ("api_key", "team", "route", "provider", "model", "conversation", "none")


def addresses() -> Iterator[str]:
    newest = Completion.objects.order_by("-created_at")[0]
    yield from DASHBOARD
    yield from (f"/requests/?{urlencode(query)}" for query in LOG)
    yield f"/requests/?{urlencode({'id': newest.pk})}"
    yield reverse("dashboard:completion", args=[newest.pk])
    yield f"{reverse('dashboard:conversation', args=[newest.conversation])}?team={newest.team_id}"
    yield from (reverse("dashboard:drill", args=[drill]) for drill in Drill.objects.values_list("pk", flat=True)[:1])
    yield from _scripts(newest)
    yield from _admin()


def _scripts(newest: Completion) -> Iterator[str]:
    yield from SCRIPTS
    yield f"/api/completions/{newest.pk}"
    yield f"/api/conversations/{newest.conversation}?{urlencode({'team': newest.team_name})}"
    month = {"from": (timezone.now() - timedelta(days=30)).isoformat()}
    for group in SPEND_GROUPS:
        yield f"/api/spend?{urlencode({'group_by': group, **month})}"
    yield "/api/spend?group_by=none"
    yield f"/api/completions.csv?{urlencode(month)}"


def _admin() -> Iterator[str]:
    """The list of each model, a page of its rows, and its empty form where one may be filled in."""
    request = RequestFactory().get("/admin/")
    request.user = User(is_superuser=True, is_staff=True)  # may do everything; needs no row
    yield "/admin/"
    for model, pages in sorted(admin.site._registry.items(), key=lambda item: item[0]._meta.label):
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        first = model._default_manager.order_by("-pk").values_list("pk", flat=True).first()
        if first is not None:
            yield reverse(f"{name}_change", args=[first])
        if pages.has_add_permission(request):
            yield reverse(f"{name}_add")
