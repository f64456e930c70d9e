"""Fire drills: the list with what runs on top, and the form that starts one. The report is the dashboard's page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin  # type: ignore[import-untyped]
from unfold.widgets import UnfoldAdminIntegerFieldWidget  # type: ignore[import-untyped]

from gateway.admin.ledger import ReadOnly
from gateway.engine.drill import DrillFault
from gateway.models import ApiKey, Drill, Provider, Route
from gateway.models.drill import LONGEST_SECONDS
from gateway.selectors.drills import running_first
from gateway.services.drills import drill_check, drill_start, drill_stop
from gateway.services.permissions import STOP_DRILLS

_LONGEST_MINUTES = LONGEST_SECONDS // 60


class DrillForm(forms.ModelForm):  # type: ignore[type-arg]
    minutes = forms.IntegerField(
        label="Minutes",
        initial=5,
        min_value=1,
        max_value=_LONGEST_MINUTES,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=f"The drill ends by itself after so long, at most {_LONGEST_MINUTES}. You can stop it at any time.",
    )

    class Meta:
        model = Drill
        exclude = ()

    @property
    def duration_seconds(self) -> int:
        return int(self.cleaned_data["minutes"]) * 60

    def _get_validation_exclusions(self) -> set[str]:
        """What `clean` refused is said once: the table's constraint would say it again."""
        refused = {"provider", "route"} if self.non_field_errors() else set()
        return set(super()._get_validation_exclusions()) | refused  # type: ignore[misc]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            now = timezone.now()
            # Before the row is checked, which needs to know its time; the service sets it anew.
            self.instance.starts_at, self.instance.ends_at = now, now + timedelta(seconds=self.duration_seconds)
            drill_check(
                provider=data.get("provider"),
                route=data.get("route"),
                keys=data.get("keys") or (),
                duration_seconds=self.duration_seconds,
                now=now,
            )
        return data


@admin.register(Drill)
class DrillAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    form = DrillForm
    list_display = ("starts_at", "state", "subject", "fault", "share", "started_by", "note")
    list_select_related = ("provider", "route")
    list_per_page = 50
    show_full_result_count = False
    actions = ("stop",)
    compressed_fields = True
    filter_horizontal = ("keys",)
    fieldsets = (
        (None, {"fields": ("provider", "route", "fault"), "description": "It starts with saving, on real traffic."}),
        ("Whose requests, and for how long", {"fields": ("share_percent", "keys", "minutes")}),
        (None, {"fields": ("note", "alerts")}),
    )

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(ModelAdmin.has_add_permission(self, request))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Drill]:
        return running_first(super().get_queryset(request), timezone.now())

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ()

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in ("provider", "route"):
            kwargs["queryset"] = (Provider if db_field.name == "provider" else Route).objects.alive().order_by("name")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "keys":
            kwargs["queryset"] = ApiKey.objects.alive().order_by("name")
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Drill, form: Any, change: bool) -> None:
        started = drill_start(
            provider=obj.provider,
            route=obj.route,
            fault=DrillFault(obj.fault),
            share_percent=obj.share_percent,
            duration_seconds=form.duration_seconds,
            keys=form.cleaned_data["keys"],
            note=obj.note,
            alerts=obj.alerts,
            actor=str(request.user),
        )
        obj.pk, obj.starts_at, obj.ends_at = started.pk, started.starts_at, started.ends_at

    def response_add(self, request: HttpRequest, obj: Drill, post_url_continue: Any = None) -> HttpResponse:
        self.message_user(request, f"Fire drill {obj.pk} is running.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("dashboard:drill", args=[obj.pk]))

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """What there is to see of a drill is its report."""
        if object_id.isdecimal() and len(object_id) < 19:
            return HttpResponseRedirect(reverse("dashboard:drill", args=[int(object_id)]))
        response: HttpResponse = super().change_view(request, object_id, *args, **kwargs)
        return response

    @admin.action(description="Stop now", permissions=["stop"])
    def stop(self, request: HttpRequest, queryset: QuerySet[Drill]) -> None:
        for row in queryset:
            stopped = drill_stop(drill=row, actor=str(request.user))
            what = "is stopped" if stopped else "was over already"
            self.message_user(request, f"Fire drill {row.pk} {what}.", messages.SUCCESS if stopped else messages.INFO)

    def has_stop_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(STOP_DRILLS))

    @admin.display(description="state")
    def state(self, row: Drill) -> str:
        if row.running(timezone.now()):
            return f"RUNNING until {timezone.localtime(row.ends):%H:%M:%S}"
        return f"stopped by {row.stopped_by}" if row.stopped_at else "ended by itself"

    @admin.display(description="share", ordering="share_percent")
    def share(self, row: Drill) -> str:
        return f"{row.share_percent} %"
