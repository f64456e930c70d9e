"""`python -m bench.first_run` reads what `make run` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.first_run import _printed_key
from gateway.supervisor.banner import banner
from gateway.supervisor.prepare import Credentials

KEY = "sk-llmops-83T3bA6VkuJa2RfwcWIeH6iboSshjDiUg-poSUkwb_c"


def test_key_is_taken_whole_from_the_banner(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(banner("http://127.0.0.1:8000", "default", Credentials("admin", "secret", KEY)))
    assert _printed_key(log) == KEY


@pytest.mark.parametrize("text", ["", "Installing into .venv …\n", f"  API key    {KEY[:20]}"])
def test_there_is_no_key_before_its_line_is_whole(tmp_path: Path, text: str) -> None:
    log = tmp_path / "log"
    log.write_text(text)
    assert _printed_key(log) == ""
