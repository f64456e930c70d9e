"""Teams and API keys. A key's text is shown once, when it is made."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from unfold.decorators import action  # type: ignore[import-untyped]

from gateway.admin.base import ConfigurationAdmin, ConfigurationForm
from gateway.admin.confirm import is_confirmed
from gateway.admin.key_pages import secrets_page
from gateway.models import ApiKey, Route, Team
from gateway.services.keys import (
    DEFAULT_OVERLAP,
    NO_OVERLAP,
    key_check_usable,
    key_disable,
    key_generate,
    key_hash,
    key_prefix,
    key_rotate,
)
from gateway.templatetags.plain_words import full_time


@admin.register(Team)
class TeamAdmin(ConfigurationAdmin):
    list_display = ("name", "created_at")


class ApiKeyForm(ConfigurationForm):
    """Refuses a key that could never be used; one that has expired since may still be edited."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        key_check_usable(
            expires_at=cleaned.get("expires_at") if "expires_at" in self.changed_data else None,
            all_routes=bool(cleaned.get("all_routes")),
            routes=list(cleaned.get("routes") or ()),
        )
        return cleaned


@admin.register(ApiKey)
class ApiKeyAdmin(ConfigurationAdmin):
    form = ApiKeyForm
    list_display = ("name", "prefix", "team", "role", "taken", "expires_at", "last_used_at")
    list_filter = (*ConfigurationAdmin.list_filter, "role", "disabled", ("team", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("team",)
    readonly_fields = ("begins", "before", "made", "used")
    filter_horizontal = ("routes",)
    actions = (*ConfigurationAdmin.actions, "rotate", "rotate_now")
    actions_detail = ("rotate_row", "rotate_row_now", "disable_row", *ConfigurationAdmin.actions_detail)
    fieldsets = (
        (None, {"fields": ("name", "team", "role", "disabled", "expires_at")}),
        ("Routes", {"fields": ("all_routes", "routes", "direct_models")}),
        ("Limits", {"fields": ("requests_per_minute", "tokens_per_minute", "max_parallel")}),
        ("Key", {"fields": ("begins", "before", "made", "used")}),
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
            request.made_key = (obj, plain)  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        made = request.made_key  # type: ignore[attr-defined]
        return secrets_page(request, self.admin_site.each_context(request), [made])

    @admin.action(description="Rotate: make a new key, take the old one for another day", permissions=["change"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse:
        return self._rotated(request, queryset, "rotate", DEFAULT_OVERLAP)

    @admin.action(description="Rotate now: make a new key, refuse the old one at once", permissions=["change"])
    def rotate_now(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse:
        return self._rotated(request, queryset, "rotate_now", NO_OVERLAP)

    @action(description="Rotate", url_path="rotate", permissions=["archive_row"], icon="autorenew")  # type: ignore[untyped-decorator]
    def rotate_row(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A new key; the old one is taken for another day."""
        return self._rotate_row(request, object_id, DEFAULT_OVERLAP)

    @action(description="Rotate now", url_path="rotate-now", permissions=["archive_row"], icon="lock_reset")  # type: ignore[untyped-decorator]
    def rotate_row_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A new key; the old one is refused at once: for one that has leaked."""
        return self._rotate_row(request, object_id, NO_OVERLAP)

    @action(description="Disable or enable", url_path="disable", permissions=["archive_row"], icon="block")  # type: ignore[untyped-decorator]
    def disable_row(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The other of the two, after a question."""
        key = get_object_or_404(ApiKey.objects.alive(), pk=object_id)
        word = "Enable" if key.disabled else "Disable"
        if not is_confirmed(request):
            does = "taken again" if key.disabled else "refused, and the agents that have it with it,"
            sentence = f"{key} ({key.prefix}) is {does} within two seconds. Nothing else about it changes."
            return self._ask(request, f"{word} {key}?", [sentence], self._row_url(key), word)
        key_disable(key=key, actor=str(request.user), disabled=not key.disabled)
        self.message_user(request, f"{key} is {'disabled' if key.disabled else 'enabled'}.", messages.SUCCESS)
        return redirect(self._row_url(key))

    def _rotate_row(self, request: HttpRequest, object_id: str, overlap: timedelta) -> HttpResponse:
        key = get_object_or_404(ApiKey.objects.alive(), pk=object_id)
        if not is_confirmed(request):
            word = "Rotate" if overlap else "Rotate now"
            return self._ask(request, f"{word}: {key}?", [_rotation_sentence(overlap)], self._row_url(key), word)
        made = [(key, key_rotate(key=key, actor=str(request.user), overlap=overlap))]
        return secrets_page(request, self.admin_site.each_context(request), made)

    def _rotated(
        self, request: HttpRequest, queryset: QuerySet[ApiKey], action: str, overlap: timedelta
    ) -> HttpResponse:
        sentence = _rotation_sentence(overlap)
        if not is_confirmed(request):
            return self._asked(request, queryset, action, "Rotate" if overlap else "Rotate now", sentence)
        actor = str(request.user)
        keys = queryset.filter(archived_at__isnull=True)
        made = [(key, key_rotate(key=key, actor=actor, overlap=overlap)) for key in keys]
        return secrets_page(request, self.admin_site.each_context(request), made)

    def _asked(
        self, request: HttpRequest, queryset: QuerySet[ApiKey], action: str, title: str, sentence: str
    ) -> HttpResponse:
        keys = list(queryset.filter(archived_at__isnull=True))
        sentences = [sentence, *(f"{key.name}: {key.prefix}" for key in keys)]
        return self._ask(request, f"{title}?", sentences, self._list_url(), title, action=action, rows=keys)

    @admin.display(description="state", ordering="disabled")
    def taken(self, row: ApiKey) -> str:
        """Words: a mark for "not disabled" reads as a fault of every key that works."""
        if row.disabled:
            return "disabled"
        return "expired" if row.expires_at is not None and row.expires_at <= timezone.now() else "in use"

    @admin.display(description="begins with")
    def begins(self, row: ApiKey) -> str:
        return f"{row.prefix} (the rest is nowhere kept)" if row.prefix else "shown once it is saved"

    @admin.display(description="the key before it")
    def before(self, row: ApiKey) -> str:
        if row.overlap_until is None:
            return "none is taken"
        word = "is taken until" if row.overlap_until > timezone.now() else "was taken until"
        return f"{row.old_prefix} {word} {full_time(row.overlap_until)}"

    @admin.display(description="made")
    def made(self, row: ApiKey) -> str:
        return full_time(row.created_at) if row.created_at else ""

    @admin.display(description="last used")
    def used(self, row: ApiKey) -> str:
        return full_time(row.last_used_at) if row.last_used_at else "never"


def _rotation_sentence(overlap: timedelta) -> str:
    until = "until a day from now" if overlap else "no more: agents that have it are refused within two seconds"
    return f"Each key gets a new text, shown once on the next page. The old one is taken {until}."
