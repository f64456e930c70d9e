"""The folders that a start makes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmops.env import usable_folder


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_data_directory_we_make_is_read_by_its_own_account_only(tmp_path: Path, usual_umask: None) -> None:
    usable_folder("LLMOPS_DATA_DIR", tmp_path / "var")

    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700


def test_a_data_directory_that_is_there_keeps_its_mode(tmp_path: Path, usual_umask: None) -> None:
    (tmp_path / "var").mkdir(mode=0o750)
    usable_folder("LLMOPS_DATA_DIR", tmp_path / "var")

    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o750
