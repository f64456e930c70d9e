"""The table of workloads."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from gateway.admin.base import ConfigurationAdmin
from gateway.models import Workload


@admin.register(Workload)
class WorkloadAdmin(ConfigurationAdmin):
    list_display = ("name", "tier", "api_key", "team", "tag", "system_prompt")
    list_filter = (*ConfigurationAdmin.list_filter, "tier")
    list_select_related = ("api_key", "team")
    search_fields = ("name", "tag", "system_prompt")
    fieldsets = (
        (None, {"fields": ("name", "tier")}),
        (
            "Conditions",
            {
                "fields": ("api_key", "team", "tag", "system_prompt"),
                "description": "All that are given must be met. Of several workloads the one with most of them holds.",
            },
        ),
    )

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in ("api_key", "team"):
            kwargs["queryset"] = db_field.related_model.objects.alive()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)
