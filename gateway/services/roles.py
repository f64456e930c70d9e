"""The groups that come with the product, and what each may do (docs/roles.md).

They are handed out after every migration, each permission once: what an administrator takes away or adds by hand stays
so, and a permission that a later version brings reaches the groups that are meant to have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import router, transaction

VIEWER, OPERATOR, FINANCE, ADMINISTRATOR = "Viewer", "Operator", "Finance", "Administrator"
ROLES = (VIEWER, OPERATOR, FINANCE, ADMINISTRATOR)

# By codename, so that one which isn't there yet is handed out once it is.
_SEEN = (
    "alert",
    "alertdelivery",
    "attempt",
    "batch",
    "batchjob",
    "batchline",
    "breakerstatus",
    "breakertransition",
    "budget",
    "budgetraise",
    "budgetreservation",
    "budgetwindow",
    "completion",
    "configurationchange",
    "conversation",
    "drill",
    "fallback",
    "feedback",
    "healthprobe",
    "organisation",
    "price",
    "provider",
    "route",
    "simplerules",
    "target",
    "team",
    "workload",
)
_EDITED = {
    OPERATOR: (
        *("provider", "route", "target", "workload", "simplerules"),
        *("alertchannel", "drill", "alert", "alertdelivery", "batch"),
    ),
    FINANCE: ("budget", "budgetraise", "price"),
}
_ALSO_SEEN = {OPERATOR: ("alertchannel", "apikey"), FINANCE: ("apikey",)}
_ADMINISTRATORS_APPS = frozenset({"gateway", "auth"})

Codename = tuple[str, str]


def role_codenames(role: str) -> Iterator[Codename]:
    """App label and codename of what `role` may do. Administrators are handed whatever there is, see `_wanted`."""
    yield from (("gateway", f"view_{model}") for model in (*_SEEN, *_ALSO_SEEN.get(role, ())))
    for model in _EDITED.get(role, ()):
        yield from (("gateway", f"{verb}_{model}") for verb in ("add", "change", "delete"))


def roles_hand_out(*, using: str) -> None:
    """Make the groups on first sight and hand out what no one was given before. Does nothing when all was."""
    if not router.allow_migrate_model(using, apps.get_model("gateway", "RoleGrant")):
        return
    with transaction.atomic(using=using):
        for role in ROLES:
            _hand_out(role, using)


def _hand_out(role: str, using: str) -> None:
    grants: Any = apps.get_model("gateway", "RoleGrant")._default_manager.using(using)
    given = set(grants.filter(role=role).values_list("app_label", "codename"))
    fresh = {name: row for name, row in _wanted(role, using).items() if name not in given}
    if not fresh:
        return
    groups: Any = apps.get_model("auth", "Group")._default_manager.using(using)
    group = groups.filter(name=role).first()
    if group is None and not given:
        group = groups.create(name=role)
    if group is not None:  # somebody deleted or renamed it: it isn't brought back
        group.permissions.add(*fresh.values())
    grants.bulk_create(
        [grants.model(role=role, app_label=app_label, codename=codename) for app_label, codename in sorted(fresh)],
        ignore_conflicts=True,
    )


def _wanted(role: str, using: str) -> dict[Codename, Any]:
    """The permissions of `role` that exist by now."""
    permissions: Any = apps.get_model("auth", "Permission")._default_manager.using(using)
    rows = permissions.filter(content_type__app_label__in=_ADMINISTRATORS_APPS).select_related("content_type")
    there = {(row.content_type.app_label, row.codename): row for row in rows}
    if role == ADMINISTRATOR:
        return there
    return {name: there[name] for name in role_codenames(role) if name in there}
