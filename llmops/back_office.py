"""Reads in the back office with the first page (docs/decisions/0026-lean-processes.md)."""

from __future__ import annotations

import asyncio
import sys

from django.apps import apps
from django.contrib import admin
from django.urls import get_resolver

_reading: asyncio.Task[None] | None = None


async def back_office_read() -> None:
    """Half a second for the first page, in one thread however many pages wait: agents' requests go on meanwhile.

    Raises what went wrong, to every page that waited; the next page tries again.
    """
    global _reading
    if _reading is None:
        _reading = asyncio.create_task(asyncio.to_thread(_read))
    reading = _reading
    try:
        await asyncio.shield(reading)
    except Exception:
        if _reading is reading:
            _reading = None
        raise


def _read() -> None:
    try:
        _ = get_resolver().url_patterns
    except BaseException:
        _forget_half()
        raise


def _forget_half() -> None:
    """Forms that were registered before it went wrong would be refused the next time, or be missing."""
    admin.site._registry.clear()
    modules = tuple(f"{app.name}.admin" for app in apps.get_app_configs())
    for name in [name for name in sys.modules if name.startswith(modules)]:
        del sys.modules[name]
