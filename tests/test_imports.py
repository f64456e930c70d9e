"""Imports point inward: a room knows the rooms named beside it, and no other (docs/architecture.md)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = {"bounds", "crypto"}
CORE = {"engine", "wires", "ledger", "models", *SHARED}
INNER = {*CORE, "providers", "stores", "alerts", "services", "selectors", "metrics", "tracing"}
MAY_KNOW: dict[str, set[str]] = {
    "engine": set(),
    "bounds": set(),
    "crypto": set(),
    "wires": {"engine"},
    "ledger": {"engine", *SHARED},
    "models": {"engine", "ledger", *SHARED},
    "stores": {"engine"},
    "providers": {"engine", "wires"},
    "alerts": {*CORE, "selectors"},
    "metrics": {"ledger"},
    "tracing": {"engine", "ledger"},
    "services": {*CORE, "providers", "stores", "alerts", "selectors", "metrics", "tracing"},
    "selectors": {*CORE, "stores"},
    "simulator": {"engine", "wires"},
    "supervisor": INNER,
    "api": {*INNER, "api"},
    "templatetags": {"engine", "ledger", "models"},
    "dashboard": {*INNER, "templatetags"},
    "admin": {*INNER, "templatetags"},
    "tasks": INNER,
    "management": {*INNER, "simulator", "supervisor"},
    "apps": INNER,
    "migrations": CORE,
}
# Third-party packages a room may use, where that is part of its meaning.
STANDARD_LIBRARY_ONLY = {"engine": set(), "wires": {"orjson"}, "simulator": {"orjson", "httptools", "uvloop"}}
WITHOUT_DJANGO = {
    "gateway/ledger/money.py",
    "gateway/ledger/records.py",
    "gateway/ledger/prices.py",
    "gateway/ledger/budgets.py",
    "gateway/ledger/windows.py",
}
SDKS = {"openai", "anthropic"}


def sources() -> list[Path]:
    return sorted((ROOT / "gateway").rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "gateway").parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Every module that the file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_known(path: Path) -> set[str]:
    names = (name.split(".") for name in imported(path))
    return {parts[1] for parts in names if parts[0] == "gateway" and len(parts) > 1}


def packages(path: Path) -> set[str]:
    """Third-party packages."""
    tops = {name.split(".")[0] for name in imported(path)}
    return tops - sys.stdlib_module_names - {"gateway", "llmops", "__future__"}


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_room_knows_only_the_rooms_further_in(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    assert rooms_known(path) - {room} <= MAY_KNOW[room]


@pytest.mark.parametrize("room", STANDARD_LIBRARY_ONLY)
def test_pure_room_uses_the_standard_library(room: str) -> None:
    used = {package for path in (ROOT / "gateway" / room).rglob("*.py") for package in packages(path)}
    assert used <= STANDARD_LIBRARY_ONLY[room]


def test_arithmetic_of_money_knows_no_django() -> None:
    for path in (ROOT / name for name in WITHOUT_DJANGO):
        if path.exists():
            assert "django" not in packages(path), path


def test_vendor_sdks_are_known_to_the_providers_alone() -> None:
    users = {room_of(path) for path in sources() if packages(path) & SDKS}
    assert users <= {"providers"}


def test_nothing_in_the_gateway_reaches_for_the_project() -> None:
    """The project is wiring around the gateway: only start-up code may name it."""
    users = {room_of(path) for path in sources() if any(name.split(".")[0] == "llmops" for name in imported(path))}
    assert users <= {"supervisor", "management", "services"}
