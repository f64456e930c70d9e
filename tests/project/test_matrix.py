"""The matrix runs what is there and says what isn't."""

from __future__ import annotations

import sys

import pytest

from tests.gateway_process import ROOT
from tests.matrix import PROCESSES, Part, parts, run, version

PARTS = [part for another in (False, True) for part in parts("postgres://server/db", another_python=another)]


def test_a_python_that_is_not_on_the_machine_has_no_version() -> None:
    assert version("no-such-python") == ""
    assert version(sys.executable) == f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.what)
def test_every_folder_a_part_names_is_there(part: Part) -> None:
    named = [word for word in part.arguments if word.startswith("tests/")]
    assert named
    assert [path for path in (*named, *PROCESSES) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(("arguments", "failed"), [(("--version",), False), (("--no-such-option",), True)])
def test_a_part_failed_when_its_tests_did(arguments: tuple[str, ...], failed: bool) -> None:
    assert run(sys.executable, "3.x", Part("a part", arguments, {})).failed is failed
