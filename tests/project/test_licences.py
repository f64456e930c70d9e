"""Everything that runs may be used as it is, and each exception has its reason."""

from __future__ import annotations

import pytest

from tests.project.licences import REASONED, Licensed, locked


def test_every_package_that_runs_is_allowed() -> None:
    assert [one for one in locked() if not one.allowed] == []


def test_every_reason_is_needed() -> None:
    needed = {one.name for one in locked() if not Licensed("", one.version, one.licence).allowed}
    assert set(REASONED) == needed


@pytest.mark.parametrize("licence", ["", "GPL-3.0-only", "MIT AND AGPL-3.0", "Commercial", "Other/Proprietary License"])
def test_a_licence_that_asks_for_more_is_not(licence: str) -> None:
    assert not Licensed("something", "1.0", licence).allowed


@pytest.mark.parametrize("licence", ["MIT", "MIT License", "Apache-2.0 AND MIT", "3-Clause BSD License", "PSF-2.0"])
def test_a_permissive_one_is(licence: str) -> None:
    assert Licensed("something", "1.0", licence).allowed
