"""Every address that people and scripts read, over what a filled database holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from gateway.models import (
    Alert,
    AlertChannel,
    ApiKey,
    Budget,
    Completion,
    Drill,
    Price,
    Provider,
    Route,
    Target,
    Team,
    Workload,
)

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
    "/savings/",
    "/savings/?period=30d",
    "/simple/",
    "/simple/?period=30d",
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
    "/api/alert-messages",
    "/api/changes",
    "/api/keys",
    "/api/drills",
    "/api/status",
    "/api/conversations",
    "/api/batches",
    "/api/batches/batch_0000",
    "/api/openapi.json",
    "/api/docs",
    "/metrics",
)
SPEND_GROUPS = ("api_key", "team", "route", "provider", "model", "conversation", "none")


def addresses() -> Iterator[str]:
    newest = Completion.objects.order_by("-created_at")[0]
    yield from DASHBOARD
    yield from (f"/requests/?{urlencode(query)}" for query in LOG)
    yield f"/requests/?{urlencode({'id': newest.pk})}"
    yield reverse("dashboard:completion", args=[newest.pk])
    for page in ("conversation", "conversation-forget"):
        yield f"{reverse(f'dashboard:{page}', args=[newest.conversation])}?team={newest.team_id}"
    for drill in Drill.objects.values_list("pk", flat=True)[:1]:
        yield reverse("dashboard:drill", args=[drill])
        yield f"/api/drills/{drill}"
    target = Target.objects.order_by("pk")[0]
    yield reverse("dashboard:succeed", args=[target.pk])
    yield from _scripts(newest)
    yield from _admin()
    yield from _admin_questions()


def _scripts(newest: Completion) -> Iterator[str]:
    yield from SCRIPTS
    yield f"/api/completions/{newest.pk}"
    yield f"/api/conversations/{newest.conversation}?{urlencode({'team': newest.team_name})}"
    month = {"from": (timezone.now() - timedelta(days=30)).isoformat()}
    for group in SPEND_GROUPS:
        yield f"/api/spend?{urlencode({'group_by': group, **month})}"
    yield "/api/spend?group_by=none"
    yield f"/api/completions.csv?{urlencode(month)}"
    yield f"/api/attempts.csv?{urlencode(month)}"


def _admin() -> Iterator[str]:
    """The list of each model, a page of its rows, and its empty form where one may be filled in."""
    request = RequestFactory().get("/admin/")
    request.user = User(is_superuser=True, is_staff=True)  # may do everything; needs no row
    yield "/admin/"
    admin.autodiscover()
    for model, pages in sorted(admin.site._registry.items(), key=lambda item: item[0]._meta.label):
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        first = model._default_manager.order_by("-pk").values_list("pk", flat=True).first()
        if first is not None:
            yield reverse(f"{name}_change", args=[first])
        if pages.has_add_permission(request):
            yield reverse(f"{name}_add")


def _admin_questions() -> Iterator[str]:
    """Pages of the admin that ask before they act, or show what a row would do."""
    yield from ("/admin/gateway/", "/admin/search/?s=openai", "/admin/gateway/price/unpriced/")
    yield "/admin/gateway/price/refresh/"
    for model, name in QUESTIONS:
        yield reverse(f"admin:gateway_{name}", args=[model._default_manager.order_by("pk")[0].pk])


QUESTIONS: tuple[tuple[type[Model], str], ...] = (
    (Route, "route_dry_run"),
    (Budget, "budget_standing"),
    (Budget, "budget_raise_limit"),
    *((model, f"{model._meta.model_name}_archive_row") for model in (AlertChannel, ApiKey, Budget, Price)),
    *((model, f"{model._meta.model_name}_archive_row") for model in (Provider, Route, Team, Workload)),
    *((ApiKey, f"apikey_{name}") for name in ("rotate_row", "rotate_row_now", "disable_row")),
    (Price, "price_new_version"),
    (Alert, "alert_acknowledge_one"),
)
# By the name of the route: what is read there and not timed, and why.
NOT_TIMED = {
    "admin:login": "before anything is read",
    "admin:logout": "POST only",
    "admin:jsi18n": "words, no rows",
    "admin:autocomplete": "the field that asks names what it looks up; the lists of the same rows are timed",
    "admin:view_on_site": "a redirect",
    "admin:gateway_alertchannel_send_test_now": "sends",
    "admin:gateway_alertdelivery_retry_one": "a question about one row, where that has not arrived",
    "admin:gateway_budget_end_raises": "acts where a raise is in force",
    "admin:gateway_provider_test_now": "asks the provider",
    "admin:gateway_simplerules_reset": "a redirect to the form, which is timed",
    "admin:gateway_simplerules_use_again": "a redirect to the form, which is timed",
    "dashboard:content": "POST only",
    "dashboard:provider-act": "POST only",
    "dashboard:breakers-act": "POST only",
    "dashboard:drill_stop": "POST only",
    "dashboard:models-forget": "POST only",
    "admin:password_change": "the form of one's own password",
    "admin:password_change_done": "words, no rows",
    "operators:api-root": "words, no rows",
    "operators:nothing_here": "an error",
}
# Ends of names of the admin's own pages: one row or none is read for them.
NOT_TIMED_KINDS = {
    "_add": "timed where an empty form may be filled in",
    "_history": "log entries of one row",
    "_delete": "offered for accounts and groups only; asks about one row",
    "_restore_row": "a question about one row, as the archiving that is timed",
    "_password_change": "the form of one account",
}
