"""Teams and API keys. A key's text is shown once, when it is made."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from gateway.admin.base import NOT_IN_FORCE, ConfigurationAdmin
from gateway.models import ApiKey, Route, Team
from gateway.services.keys import key_generate, key_hash, key_prefix, key_rotate


@admin.register(Team)
class TeamAdmin(ConfigurationAdmin):
    list_display = ("name", "created_at")


@admin.register(ApiKey)
class ApiKeyAdmin(ConfigurationAdmin):
    list_display = ("name", "prefix", "team", "role", "disabled", "expires_at", "last_used_at")
    list_filter = (*ConfigurationAdmin.list_filter, "role", "disabled", ("team", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("team",)
    readonly_fields = ("prefix", "created_at", "last_used_at")
    filter_horizontal = ("routes",)
    actions = (*ConfigurationAdmin.actions, "rotate")
    fieldsets = (
        (None, {"fields": ("name", "team", "role", "disabled", "expires_at")}),
        ("Routes", {"fields": ("all_routes", "routes")}),
        (
            "Limits",
            {"fields": ("requests_per_minute", "tokens_per_minute", "max_parallel"), "description": NOT_IN_FORCE},
        ),
        ("Key", {"fields": ("prefix", "created_at", "last_used_at")}),
    )

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "routes":
            kwargs["queryset"] = Route.objects.alive()
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "team":
            kwargs["queryset"] = Team.objects.alive()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if not change:
            plain = key_generate()
            obj.hash, obj.prefix = key_hash(plain), key_prefix(plain)
            self._show(request, obj, plain)
        super().save_model(request, obj, form, change)

    @admin.action(description="Rotate: make a new key, refuse the old one", permissions=["change"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset.filter(archived_at__isnull=True):
            self._show(request, key, key_rotate(key=key, actor=str(request.user)))

    def _show(self, request: HttpRequest, key: ApiKey, plain: str) -> None:
        self.message_user(
            request, f"The key {key.name} is {plain} (copy it now, it is never shown again).", messages.WARNING
        )

    @admin.display(description="begins with")
    def prefix(self, row: ApiKey) -> str:
        return row.prefix
