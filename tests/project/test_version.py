"""Which version this is, is told alike wherever it is told (CONTRIBUTING.md, "Versions")."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from llmops import VERSION

ROOT = Path(__file__).resolve().parents[2]


def test_the_package_has_the_version_that_is_told() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_the_changelog_s_newest_dated_part_is_of_this_version() -> None:
    parts = re.findall(r"^## (\S+) - \d{4}-\d{2}-\d{2}$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert parts[:1] == [VERSION]
