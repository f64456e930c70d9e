"""Budgets: who may spend how much, what happens at the limit, how they stand, and raising them for a while."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action  # type: ignore[import-untyped]
from unfold.widgets import (  # type: ignore[import-untyped]
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from gateway import bounds
from gateway.admin.base import ConfigurationAdmin, ConfigurationForm
from gateway.admin.budget_words import budget_sentence, spent_words, standings_table
from gateway.admin.fields import PercentsField
from gateway.ledger.money import usd_text
from gateway.models import Budget
from gateway.models.budget import SUBJECT_COLUMNS, default_alert_percents, window_problem
from gateway.models.fields import UsdFormField
from gateway.models.words import BudgetScope, BudgetWindowUnit
from gateway.selectors.budget_status import raises_in_force, standings_of
from gateway.selectors.configuration import organisation_zone
from gateway.services.budget_raises import budget_raise, budget_raises_end

SUBJECTS_SHOWN = 20
STANDING_EVERY_SECONDS = 5

IN_SECONDS = "seconds"
SPAN_FIELDS = ("span", "span_seconds")
SPAN_WORDS = {
    BudgetWindowUnit.HOUR.value: "every hour",
    BudgetWindowUnit.DAY.value: "every day",
    BudgetWindowUnit.WEEK.value: "every week",
    BudgetWindowUnit.MONTH.value: "every month",
    BudgetWindowUnit.TOTAL.value: "never: all there will ever be",
}


class BudgetForm(ConfigurationForm):
    """`span` and `span_seconds` are the row's `window`: a field of that name would hide the browser's own from the
    page's script."""

    span = forms.ChoiceField(
        label="Window",
        choices=[*SPAN_WORDS.items(), (IN_SECONDS, "every so many seconds")],
        initial=BudgetWindowUnit.MONTH.value,
        widget=UnfoldAdminSelectWidget,
        help_text="When what is spent begins anew; in the organisation's time zone.",
    )
    span_seconds = forms.IntegerField(
        label="Seconds",
        required=False,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="How long a window lasts, such as 900 for a quarter of an hour.",
    )
    alert_at_percent = PercentsField(
        label="Tell at (percent)",
        initial=default_alert_percents,
        help_text="Tell when so many percent are spent, such as 50, 80, 100.",
    )

    class Meta:
        model = Budget
        exclude = ("window",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial.update(_span_fields(self.instance.window))

    def clean_span_seconds(self) -> int | None:
        """Comes after the window, whose length it may be."""
        span, seconds = self.cleaned_data.get("span"), self.cleaned_data["span_seconds"]
        if span == IN_SECONDS:
            if seconds is None or window_problem(str(seconds)):
                raise ValidationError(f"must be a number of seconds, {bounds.WINDOW_SECONDS}")
            self.instance.window = str(seconds)
            return int(seconds)
        self.instance.window = span or self.instance.window
        return None

    def clean(self) -> dict[str, Any]:
        """Only the subject that belongs to the scope is kept; the form hides the others."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        for scope, column in SUBJECT_COLUMNS.items():
            if data.get("scope") != scope:
                data[column] = None
        return data


def _span_fields(window: str) -> dict[str, str]:
    return {"span": window} if window in SPAN_WORDS else {"span": IN_SECONDS, "span_seconds": window}


class RaiseForm(forms.Form):
    amount_usd = UsdFormField(
        label="By (USD)", max_digits=19, decimal_places=12, min_value=0, widget=UnfoldAdminDecimalFieldWidget,
        help_text="Added to the limit, for each subject of the budget.",
    )  # fmt: skip
    until = forms.DateTimeField(
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
        help_text="When the raise ends by itself, in the organisation's time zone; within a year.",
    )
    reason = forms.CharField(max_length=300, widget=UnfoldAdminTextInputWidget, help_text="For those who look later.")


@admin.register(Budget)
class BudgetAdmin(ConfigurationAdmin):
    form = BudgetForm
    form_only = frozenset(SPAN_FIELDS)
    list_display = ("name", "whose", "window", "limit", "used", "enforcement")
    list_filter = (*ConfigurationAdmin.list_filter, "scope", "enforcement")
    list_select_related = tuple(SUBJECT_COLUMNS.values())
    conditional_fields = {column: f"scope == '{scope}'" for scope, column in SUBJECT_COLUMNS.items()} | {
        "span_seconds": f"span == '{IN_SECONDS}'"
    }
    readonly_fields = ("what_it_does", "standing")
    actions_detail = ("raise_limit", "end_raises", *ConfigurationAdmin.actions_detail)
    fieldsets = (
        (None, {"fields": ("what_it_does", "standing")}),
        (
            "Who may spend how much",
            {
                "fields": (
                    "name",
                    "scope",
                    *SUBJECT_COLUMNS.values(),
                    "span",
                    "span_seconds",
                    "limit_usd",
                    "enforcement",
                )
            },
        ),
        ("On the way there", {"fields": ("alert_at_percent", "step_down_at_percent", "shrink_output")}),
    )

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With how its rows stand: all at once, whatever their number."""
        changes = super().get_changelist_instance(request)
        changes.result_list = rows = list(changes.result_list)
        for row, standing in zip(rows, standings_of(rows, now=timezone.now(), subjects_per_budget=1), strict=True):
            row.dearest = standing
        return changes

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        return fieldsets if obj is not None else fieldsets[1:]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs["queryset"] = db_field.remote_field.model.objects.alive()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description="what this does")
    def what_it_does(self, row: Budget) -> str:
        return budget_sentence(row)

    @admin.display(description="how it stands")
    def standing(self, row: Budget) -> str:
        """Asked for again every few seconds while the page is open."""
        url = reverse("admin:gateway_budget_standing", args=[row.pk])
        words = '<div id="budget-standing" hx-get="{}" hx-trigger="every {}s">{}</div>'
        return format_html(words, url, STANDING_EVERY_SECONDS, self._standing_now(row))

    def _standing_now(self, row: Budget) -> SafeString:
        with timezone.override(organisation_zone()):
            return standings_table(standings_of([row], now=timezone.now(), subjects_per_budget=SUBJECTS_SHOWN))

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.standing_part)
        return [path("<int:object_id>/standing/", view, name="gateway_budget_standing"), *super().get_urls()]

    def standing_part(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """How it stands at this moment, for its open page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponse(self._standing_now(get_object_or_404(Budget, pk=object_id)))

    @admin.display(description="for")
    def whose(self, row: Budget) -> str:
        if row.scope == BudgetScope.GLOBAL:
            return "everybody together"
        return str(row.subject) if row.subject else f"each {row.get_scope_display()}"

    @admin.display(description="limit (USD)")
    def limit(self, row: Budget) -> str:
        return usd_text(row.limit_usd)

    @admin.display(description="spent in this window")
    def used(self, row: Budget) -> str:
        return spent_words(row.dearest)  # type: ignore[attr-defined]  # get_changelist_instance put it there

    @action(description="Raise for a while", url_path="raise", permissions=["change"], icon="trending_up")  # type: ignore[untyped-decorator]
    def raise_limit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for how much, until when and why."""
        budget = get_object_or_404(Budget.objects.alive(), pk=object_id)
        with timezone.override(organisation_zone()):
            form = RaiseForm(request.POST or None)
            if form.is_valid() and self._raised(request, budget, form):
                return redirect(reverse("admin:gateway_budget_change", args=[budget.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Raise {budget.name} for a while",
            "opts": Budget._meta,
            "original": budget,
            "form": form,
            "limit": usd_text(budget.limit_usd),
            "raised": raises_in_force(now=timezone.now()).get(budget.pk),
        }
        return render(request, "admin/gateway/budget/raise.html", context)

    def _raised(self, request: HttpRequest, budget: Budget, form: RaiseForm) -> bool:
        try:
            row = budget_raise(budget=budget, actor=str(request.user), **form.cleaned_data)
        except ValidationError as error:
            for field, problems in error.message_dict.items():
                form.add_error(field, problems)
            return False
        until = f"{timezone.localtime(row.until):%d %B %Y, %H:%M}"
        text = f"{budget.name} is raised by {usd_text(row.amount_usd)} USD until {until}."
        self.message_user(request, text, messages.SUCCESS)
        return True

    @action(description="End its raises now", url_path="end-raises", permissions=["change"], icon="trending_down")  # type: ignore[untyped-decorator]
    def end_raises(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A page that asks first: links are followed by more than people."""
        budget = get_object_or_404(Budget.objects.alive(), pk=object_id)
        if request.method != "POST":
            context = {**self.admin_site.each_context(request), "title": f"End the raises of {budget.name}"}
            context |= {"opts": Budget._meta, "original": budget}
            context["raised"] = raises_in_force(now=timezone.now()).get(budget.pk)
            return render(request, "admin/gateway/budget/end_raises.html", context)
        ended = budget_raises_end(budget=budget, actor=str(request.user))
        text = f"{ended} raise{'s' if ended != 1 else ''} of {budget.name} ended."
        self.message_user(request, text, messages.SUCCESS)
        return redirect(reverse("admin:gateway_budget_change", args=[budget.pk]))
