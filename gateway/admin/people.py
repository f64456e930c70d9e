"""Users and groups of the back office, in its own looks. Each change of them is a row of history."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.contrib.auth.views import PasswordChangeView
from django.db import transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from unfold.admin import ModelAdmin  # type: ignore[import-untyped]
from unfold.forms import (  # type: ignore[import-untyped]
    AdminOwnPasswordChangeForm,
    AdminPasswordChangeForm,
    UserChangeForm,
    UserCreationForm,
)

from gateway.admin.changes import ToldByChanges
from gateway.services.configuration import CHANGED, CREATED, DELETED, change_record
from gateway.services.people import RENEWED, USERS, group_words, password_changed, user_words

admin.site.unregister(User)
admin.site.unregister(Group)


class RecordedPeople(ToldByChanges):
    """Writes history where Django writes its log: once everything of a form is saved."""

    section: str
    model: Any

    def words(self, row: Any) -> str:
        raise NotImplementedError

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            request.people_before = self._told(self.model._default_manager.get(pk=obj.pk))  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)  # type: ignore[misc]

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, CREATED, obj, "", self._told(obj))
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        after = self._told(obj)
        before = getattr(request, "people_before", after)
        if before != after:
            self._record(request, CHANGED, obj, before, after)
        elif "password" in str(message).lower():
            self._record(request, CHANGED, obj, "", RENEWED)
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for row in queryset:
            self._record(request, DELETED, row, self._told(row), "")
        return super().log_deletions(request, queryset)  # type: ignore[misc]

    def change_names(self, row: Any) -> tuple[str, str]:
        return self.section, str(row)

    def _told(self, row: Any) -> str:
        return f"name={row}\n{self.words(row)}"

    def _record(self, request: HttpRequest, action: str, row: Any, before: str, after: str) -> None:
        actor = str(request.user)
        change_record(actor=actor, action=action, section=self.section, name=str(row), before=before, after=after)


@admin.register(User)
class UserAdmin(RecordedPeople, DjangoUserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]
    """Only a superuser makes superusers or changes one: otherwise whoever manages people could become one."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    section = USERS

    def words(self, row: User) -> str:
        return user_words(row)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if _superuser(request) else (*fields, "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(super().has_change_permission(request, obj)) and _within_reach(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(super().has_delete_permission(request, obj)) and _within_reach(request, obj)


class OwnPasswordForm(AdminOwnPasswordChangeForm):  # type: ignore[misc]
    """Somebody's own new password. Both are saved or neither."""

    @transaction.atomic
    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit)
        if commit:
            password_changed(user=user, actor=str(user))
        return user


def password_page(request: HttpRequest) -> HttpResponseBase:
    """As the admin's own page, which doesn't let its form be chosen."""
    done = reverse("admin:password_change_done")
    view = PasswordChangeView.as_view(
        form_class=OwnPasswordForm, success_url=done, extra_context=admin.site.each_context(request)
    )
    return view(request)


def _superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


def _within_reach(request: HttpRequest, user: User | None) -> bool:
    return user is None or not user.is_superuser or _superuser(request)


@admin.register(Group)
class GroupAdmin(RecordedPeople, DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]
    section = "groups"

    def words(self, row: Group) -> str:
        return group_words(row)
