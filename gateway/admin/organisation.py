"""The organisation's one row: time zone and objectives."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from gateway.admin.base import AnnouncingAdmin
from gateway.admin.plain_fields import PlainForm
from gateway.models import Organisation
from gateway.models.organisation import ONLY_ROW
from gateway.services.configuration_rows import OrganisationEntry, organisation_entry


@admin.register(Organisation)
class OrganisationAdmin(AnnouncingAdmin):
    form = PlainForm
    fieldsets = (
        (None, {"fields": ("time_zone",)}),
        (
            "Objectives",
            {
                "fields": (
                    "availability_percent",
                    "fallback_success_percent",
                    "mean_latency_seconds",
                    "conversation_cost_usd",
                )
            },
        ),
        (
            "Alerts",
            {"fields": ("alert_minimum_completions", "alert_minimum_failures", "alert_fallback_rate_percent")},
        ),
        ("Retention", {"fields": ("completions_days",)}),
    )

    def section_name(self, row: Any) -> str:
        return "organisation"

    def entry(self, row: Organisation) -> OrganisationEntry:
        return organisation_entry(row)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """There is only one: straight to its form."""
        Organisation.objects.get_or_create(pk=ONLY_ROW)
        return HttpResponseRedirect(reverse("admin:gateway_organisation_change", args=[ONLY_ROW]))
