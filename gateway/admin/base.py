"""How every configuration model is edited: changes are announced and recorded, nothing is ever deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin  # type: ignore[import-untyped]
from unfold.decorators import action  # type: ignore[import-untyped]

from gateway.admin.changes import ToldByChanges
from gateway.admin.confirm import confirm_page, is_confirmed
from gateway.admin.plain_fields import PlainForm
from gateway.services.archive import configuration_archive, configuration_restore
from gateway.services.archive_words import archive_consequences, archive_obstacle
from gateway.services.configuration import CHANGED, CREATED, change_record, configuration_changed
from gateway.services.configuration_diff import differences
from gateway.services.configuration_rows import section_of


class ConfigurationForm(PlainForm):
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


class AnnouncingAdmin(ToldByChanges, ModelAdmin):  # type: ignore[misc]
    """Every saved form moves the configuration's version and leaves a row of history, in the form's transaction."""

    compressed_fields = True
    warn_unsaved_form = True

    def section_name(self, row: Any) -> str:
        return section_of(type(row)).name

    def change_names(self, row: Any) -> tuple[str, str]:
        return self.section_name(row), str(row)

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
            section, name = self.change_names(row)
            change_record(
                actor=str(request.user),
                action=action,
                section=section,
                name=name,
                before=told[0],
                after=told[1],
            )
        configuration_changed()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ConfigurationAdmin(AnnouncingAdmin):
    """A list of things that are archived and restored instead of deleted; what is archived can be read, not changed.

    `form_only` are fields of the form that no row has: they have no place on a page that can't be edited.
    """

    form = ConfigurationForm
    list_filter: Any = (InUseFilter,)
    search_fields: Any = ("name",)
    ordering: Any = ("name",)
    actions: Any = ("archive", "restore")
    actions_detail: Any = ("archive_row", "restore_row")
    form_only: frozenset[str] = frozenset()
    change_form_before_template = "admin/gateway/archived.html"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(super().has_change_permission(request, obj)) and not getattr(obj, "archived", False)

    def has_archive_row_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_change_permission(request) and self._row(object_id, archived=False) is not None

    def has_restore_row_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_change_permission(request) and self._row(object_id, archived=True) is not None

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        return readable(fieldsets, self.form_only)

    def get_list_display(self, request: HttpRequest) -> Any:
        """With a column that marks what is archived, where that can be among the rows."""
        columns = super().get_list_display(request)
        return (*columns, "in_use") if request.GET.get(InUseFilter.parameter_name) else columns

    @admin.display(description="in use")
    def in_use(self, row: Any) -> str:
        return f"archived {timezone.localtime(row.archived_at):%Y-%m-%d}" if row.archived else "yes"

    @admin.action(description="Archive: take out of use", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Asks first, with what would be different."""
        rows = list(queryset.filter(archived_at__isnull=True))
        if rows and not is_confirmed(request):
            return self._ask_archive(request, rows, self._list_url(), action="archive")
        self._each(request, rows, configuration_archive, "archived")
        return None

    @admin.action(description="Restore: back into use", permissions=["change"])
    def restore(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._each(request, queryset.filter(archived_at__isnull=False), configuration_restore, "restored")

    @action(description="Archive", url_path="archive", permissions=["archive_row"], icon="archive")  # type: ignore[untyped-decorator]
    def archive_row(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self._row(object_id, archived=False)
        if row is None:
            return redirect(self._list_url())
        if not is_confirmed(request):
            return self._ask_archive(request, [row], self._row_url(row))
        self._each(request, [row], configuration_archive, "archived")
        return redirect(self._list_url())

    @action(description="Restore", url_path="restore", permissions=["restore_row"], icon="unarchive")  # type: ignore[untyped-decorator]
    def restore_row(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self._row(object_id, archived=True)
        if row is None:
            return redirect(self._list_url())
        if not is_confirmed(request):
            sentence = f"{row} comes back into use as it was, within two seconds."
            return self._ask(request, f"Restore {row}?", [sentence], self._row_url(row), "Restore")
        self._each(request, [row], configuration_restore, "restored")
        return redirect(self._row_url(row))

    def _ask_archive(self, request: HttpRequest, rows: list[Any], back_url: str, action: str = "") -> HttpResponse:
        obstacles = [archive_obstacle(row) for row in rows]
        sentences = [why for why in obstacles if why]
        free = [row for row, why in zip(rows, obstacles, strict=True) if not why]
        sentences += [sentence for row in free for sentence in archive_consequences(row)]
        title = f"Archive {', '.join(str(row) for row in rows[:5])}{' and others' if rows[5:] else ''}?"
        return self._ask(request, title, sentences, back_url, "Archive" if free else "", action=action, rows=free)

    def _ask(
        self, request: HttpRequest, title: str, sentences: Iterable[str], back_url: str, button: str, **more: Any
    ) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "opts": self.model._meta}
        return confirm_page(
            request, context, title=title, sentences=sentences, back_url=back_url, button=button, **more
        )

    def _row(self, object_id: Any, *, archived: bool) -> Any:
        """The row of this page, None where it isn't (or no longer) as asked for."""
        rows = self.model._default_manager.filter(archived_at__isnull=not archived)
        return rows.filter(pk=object_id).first() if str(object_id).isdecimal() else None

    def _list_url(self) -> str:
        return reverse(f"admin:gateway_{self.model._meta.model_name}_changelist")

    def _row_url(self, row: Any) -> str:
        return reverse(f"admin:gateway_{self.model._meta.model_name}_change", args=[row.pk])

    def _each(self, request: HttpRequest, rows: Iterable[Any], act: Any, done: str) -> None:
        for row in rows:
            try:
                act(row=row, actor=str(request.user))
            except ValidationError as error:
                self.message_user(request, f"{row} was not {done}: {' '.join(error.messages)}", messages.ERROR)
            else:
                self.message_user(request, f"{row} was {done}.", messages.SUCCESS)


def readable(fieldsets: Any, form_only: frozenset[str]) -> list[Any]:
    """The fieldsets without fields that only a form has."""

    def kept(fields: Any) -> list[Any]:
        lines = [kept(field) if isinstance(field, list | tuple) else field for field in fields]
        return [line for line in lines if line and line not in ([], *form_only)]

    return [(title, {**options, "fields": kept(options["fields"])}) for title, options in fieldsets]
