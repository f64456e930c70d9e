"""How every configuration model is edited: changes are announced and recorded, nothing is ever deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin  # type: ignore[import-untyped]

from gateway.services.archive import configuration_archive, configuration_restore
from gateway.services.configuration import CHANGED, CREATED, change_record, configuration_changed
from gateway.services.configuration_diff import differences
from gateway.services.configuration_rows import section_of


class ConfigurationForm(forms.ModelForm):  # type: ignore[type-arg]
    """Checks the constraints that say "among those in use", which Django skips for fields that aren't in the form."""

    always_checked = frozenset({"archived_at", "source"})

    def _get_validation_exclusions(self) -> set[str]:
        return set(super()._get_validation_exclusions()) - self.always_checked  # type: ignore[misc]


class InUseFilter(admin.SimpleListFilter):
    """Shows what is in use unless asked for more."""

    title = "in use"
    parameter_name = "archived"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Archived"), ("all", "All")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        yield {
            "selected": self.value() is None,
            "query_string": changelist.get_query_string(remove=[self.parameter_name]),
            "display": "In use",
        }
        for value, title in self.lookup_choices:
            yield {
                "selected": self.value() == value,
                "query_string": changelist.get_query_string({self.parameter_name: value}),
                "display": title,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "all":
            return queryset
        return queryset.filter(archived_at__isnull=self.value() != "yes")


class AnnouncingAdmin(ModelAdmin):  # type: ignore[misc]
    """Every saved form moves the configuration's version and leaves a row of history, in the form's transaction."""

    compressed_fields = True
    warn_unsaved_form = True

    def section_name(self, row: Any) -> str:
        return section_of(type(row)).name

    def entry(self, row: Any) -> Any:
        """The row as an entry of the configuration file: what history compares."""
        return section_of(type(row)).entry(row)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        form.entry_before = self.entry(self.model._default_manager.get(pk=obj.pk)) if change else None
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        row = self.model._default_manager.get(pk=form.instance.pk)
        before, after = form.entry_before, self.entry(row)
        if before != after:
            told = differences(before, after)
            action = CREATED if before is None else CHANGED
            change_record(
                actor=str(request.user),
                action=action,
                section=self.section_name(row),
                name=str(row),
                before=told[0],
                after=told[1],
            )
        configuration_changed()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ConfigurationAdmin(AnnouncingAdmin):
    """A list of things that are archived and restored instead of deleted."""

    form = ConfigurationForm
    list_filter: Any = (InUseFilter,)
    search_fields: Any = ("name",)
    ordering: Any = ("name",)
    actions: Any = ("archive", "restore")

    @admin.action(description="Archive: take out of use", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._each(request, queryset.filter(archived_at__isnull=True), configuration_archive, "archived")

    @admin.action(description="Restore: back into use", permissions=["change"])
    def restore(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._each(request, queryset.filter(archived_at__isnull=False), configuration_restore, "restored")

    def _each(self, request: HttpRequest, rows: QuerySet[Any], act: Any, done: str) -> None:
        for row in rows:
            try:
                act(row=row, actor=str(request.user))
            except ValidationError as error:
                self.message_user(request, f"{row} was not {done}: {' '.join(error.messages)}", messages.ERROR)
            else:
                self.message_user(request, f"{row} was {done}.", messages.SUCCESS)
