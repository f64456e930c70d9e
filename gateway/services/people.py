"""History of accounts and groups: what is told of them, whoever changed them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, User

from gateway.services.configuration import CHANGED, CREATED, change_record

COMMAND_LINE = "command line"
USERS = "users"
RENEWED = "a new password"


def user_words(user: User) -> str:
    """What of an account matters to others; never its password."""
    marks = ("is_active", "is_staff", "is_superuser")
    groups = ", ".join(user.groups.order_by("name").values_list("name", flat=True))
    lines = [f"email={user.email}", *(f"{mark}={str(getattr(user, mark)).lower()}" for mark in marks)]
    return "\n".join([*lines, f"groups={groups}", f"permissions={_permissions(user.user_permissions)}"])


def group_words(group: Group) -> str:
    return f"permissions={_permissions(group.permissions)}"


def user_created(*, user: User, actor: str) -> None:
    after = f"name={user}\n{user_words(user)}"
    change_record(actor=actor, action=CREATED, section=USERS, name=str(user), after=after)


def password_changed(*, user: User, actor: str) -> None:
    """That there is a new one, and nothing of it."""
    change_record(actor=actor, action=CHANGED, section=USERS, name=str(user), after=RENEWED)


def _permissions(permissions: Any) -> str:
    names = permissions.order_by("content_type__app_label", "codename").values_list(
        "content_type__app_label", "codename"
    )
    return ", ".join(f"{app_label}.{codename}" for app_label, codename in names)
