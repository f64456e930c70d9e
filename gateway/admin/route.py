"""Routes and their targets, in order."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from unfold.admin import StackedInline  # type: ignore[import-untyped]
from unfold.decorators import action  # type: ignore[import-untyped]

from gateway.admin.base import ConfigurationAdmin, ConfigurationForm
from gateway.admin.dry_run_pages import dry_run_page, dry_run_panel
from gateway.admin.fields import LinesField
from gateway.admin.plain_fields import PlainForm
from gateway.models import Provider, Route, Target
from gateway.models.route import TARGET_OVERRIDES
from gateway.selectors.model_catalogue import RetiringTarget, retirement_of
from gateway.services.cache_purge import CacheAway, cache_purge
from gateway.services.price_book import model_is_priced

CONTENT_WARNING = (
    "When switched on, everything agents send to this route and everything they are answered (prompts, files, images, "
    "tool results, and whatever personal or secret things are in them) is kept, encrypted, for the days given here. "
    "People with the permission to view stored content can read it; every look is recorded."
)


class TargetFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """A route needs a target, and every target a price."""

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        kept = [form.cleaned_data for form in self.forms if form.cleaned_data and not form.cleaned_data.get("DELETE")]
        if not any(not target["simple"] for target in kept):
            raise ValidationError("A route needs at least one target that isn't the simple one.")
        if sum(target["simple"] for target in kept) > 1:
            raise ValidationError("A route has at most one simple target.")
        unpriced = [form for form in self.forms if form.cleaned_data in kept and not _is_priced(form.cleaned_data)]
        for form in unpriced:
            model = form.cleaned_data["model"]
            form.add_error("model", f"No price is known for {model}; add one under Prices (or mark it as free) first.")

    def save(self, commit: bool = True) -> Any:
        """The target that is no longer the simple one steps back first: there may be only one at any moment."""
        self._number_new()
        leaving = [form.instance.pk for form in self.initial_forms if not form.cleaned_data["simple"]]
        leaving += [form.instance.pk for form in self.deleted_forms]
        Target.objects.filter(pk__in=leaving, simple=True).update(simple=False)
        return super().save(commit)

    def _number_new(self) -> None:
        """New targets come after those there are, in the order in which they were entered."""
        there = [form.instance.position for form in self.initial_forms]
        following = max(there, default=-1) + 1
        for form in self.extra_forms:
            if form.has_changed():
                form.instance.position = following
                following += 1


def _is_priced(target: dict[str, Any]) -> bool:
    return model_is_priced(target["provider"].kind, target["model"])


class TargetInline(StackedInline):  # type: ignore[misc]
    model = Target
    form = PlainForm
    formset = TargetFormSet
    extra = 0
    min_num = 1
    ordering_field = "position"
    hide_ordering_field = True
    fieldsets = (
        (None, {"fields": (("provider", "model"), "simple", "position")}),
        ("Instead of the provider's time-outs and retries", {"fields": TARGET_OVERRIDES, "classes": ("collapse",)}),
    )

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(super().has_add_permission(request, obj)) and not getattr(obj, "archived", False)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(super().has_change_permission(request, obj)) and not getattr(obj, "archived", False)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(super().has_delete_permission(request, obj)) and not getattr(obj, "archived", False)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).select_related("provider")
        return rows

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "provider":
            kwargs["queryset"] = Provider.objects.alive()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class RouteForm(ConfigurationForm):
    aliases = LinesField(help_text="Other names for the same route, one a line; no two routes share a name.")

    class Meta:
        model = Route
        exclude = ()


@admin.register(Route)
class RouteAdmin(ConfigurationAdmin):
    form = RouteForm
    inlines = (TargetInline,)
    list_display = ("name", "also_called", "in_order", "retirements", "deadline_seconds", "stream_recovery")
    fieldsets = (
        (None, {"fields": ("name", "aliases")}),
        ("Limits", {"fields": ("deadline_seconds", "max_output_tokens", "stream_recovery")}),
        ("Cheap model for simple queries", {"fields": ("simple_mode",)}),
        ("Cache", {"fields": ("cache_enabled", "cache_ttl_seconds", "cache_scope", "cache_prompt_prefix")}),
        ("Content", {"fields": ("store_content", "store_content_days"), "description": CONTENT_WARNING}),
    )
    actions = (*ConfigurationAdmin.actions, "purge_cache")
    actions_detail = ("dry_run", *ConfigurationAdmin.actions_detail)
    change_form_outer_after_template = "admin/gateway/route/preview.html"

    class Media:
        css = {"all": ("gateway/dashboard.css", "gateway/editing.css")}
        js = ("gateway/route_targets.js",)

    @action(description="Dry run", url_path="dry-run", permissions=["view"], icon="play_circle")  # type: ignore[untyped-decorator]
    def dry_run(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What a request would do now; nobody is asked."""
        route = get_object_or_404(Route.objects.alive(), pk=object_id)
        if "panel" in request.GET:
            return dry_run_panel(request, route)
        return dry_run_page(request, {**self.admin_site.each_context(request), "opts": Route._meta}, route)

    @admin.action(description="Forget cached answers", permissions=["change"])
    def purge_cache(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        try:
            purged = sum(cache_purge(actor=str(request.user), route=row) for row in queryset)
        except CacheAway as away:
            self.message_user(request, away.message, messages.ERROR)
        else:
            self.message_user(request, f"{purged} cached answers forgotten.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        targets = Target.objects.select_related("provider", "route").order_by("simple", "position", "pk")
        rows: QuerySet[Any] = super().get_queryset(request).prefetch_related(Prefetch("targets", queryset=targets))
        return rows

    @admin.display(description="aliases")
    def also_called(self, row: Route) -> str:
        return ", ".join(row.aliases)

    @admin.display(description="targets, in order")
    def in_order(self, row: Route) -> str:
        return " → ".join(str(target) for target in row.targets.all() if not target.simple)

    @admin.display(description="retired models")
    def retirements(self, row: Route) -> str:
        now = timezone.now()
        found = (retirement_of(target, now) for target in row.targets.all())
        return format_html_join(mark_safe("<br>"), "{}{}", ((str(one), _instead(one)) for one in found if one))


def _instead(retiring: RetiringTarget) -> SafeString:
    """The way to its successor."""
    if not retiring.successor:
        return mark_safe("")
    url = reverse("dashboard:succeed", args=[retiring.target_id])
    return format_html('; <a class="underline" href="{}">use {}</a>', url, retiring.successor)
