"""`python -m bench.pages` times everything that can be read, and says why where it doesn't (docs/performance.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLPattern, get_resolver, resolve
from ninja.operation import PathView

from bench.pages_addresses import NOT_TIMED, NOT_TIMED_KINDS, addresses
from bench.pages_kinds import fill_kinds
from bench.pages_rows import fill_database

pytestmark = pytest.mark.django_db

COMPLETIONS = 200
READ_BY_PEOPLE_AND_SCRIPTS = ("dashboard:", "admin:", "operators:")


def test_every_page_list_and_script_s_address_is_timed_or_named_with_a_reason() -> None:
    fill_database(COMPLETIONS)
    fill_kinds()
    User.objects.create_superuser("timer").groups.add(Group.objects.create(name="timers"))

    matches = [resolve(address.partition("?")[0]) for address in addresses()]
    # Some share a route, and only the first of its names is told.
    timed = {match.route for match in matches} | {match.view_name for match in matches} | set(NOT_TIMED)
    assert sorted(name for name, route in _read().items() if timed.isdisjoint((name, route))) == []


def test_what_is_named_as_not_timed_exists() -> None:
    assert set(NOT_TIMED) <= set(_read())


def test_every_timed_address_answers(client: Client) -> None:
    fill_database(COMPLETIONS)
    fill_kinds()
    client.force_login(User.objects.create_superuser("timer"))

    statuses = {address: client.get(address).status_code for address in addresses()}
    assert {address: status for address, status in statuses.items() if status not in (200, 302)} == {}


def _read() -> dict[str, str]:
    """The routes of all that people and scripts may read, by name."""
    return {
        name: route
        for name, route, pattern in _routes(get_resolver(), "", ())
        if name.startswith(READ_BY_PEOPLE_AND_SCRIPTS)
        and pattern.name is not None
        and not name.endswith(tuple(NOT_TIMED_KINDS))
        and _answers_get(pattern)
    }


def _answers_get(pattern: URLPattern) -> bool:
    """Of ninja's views, which keep all methods of a path in one; Django's own take GET."""
    view: PathView | None = next(_path_views(pattern.callback), None)
    return view is None or any("GET" in operation.methods for operation in view.operations)


def _path_views(view: Any) -> Iterator[PathView]:
    """Those in a function's closure, and in that of what it wraps."""
    for cell in getattr(view, "__closure__", None) or ():
        held = cell.cell_contents
        if isinstance(held, PathView):
            yield held
        elif callable(held):
            yield from _path_views(held)


def _routes(resolver: Any, before: str, namespaces: tuple[str, ...]) -> Iterator[tuple[str, str, URLPattern]]:
    for pattern in resolver.url_patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield ":".join((*namespaces, pattern.name or "")), route, pattern
        else:
            inside = (*namespaces, pattern.namespace) if pattern.namespace else namespaces
            yield from _routes(pattern, route, inside)
