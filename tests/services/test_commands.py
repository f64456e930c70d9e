"""The commands apply, export, prices and generate_encryption_key."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    output = io.StringIO()
    call_command(*arguments, stdout=output, stderr=output)
    return output.getvalue()


@pytest.fixture
def file(tmp_path: Path, small: str) -> Path:
    path = tmp_path / "configuration.yaml"
    path.write_text(small, encoding="utf-8")
    return path


def test_apply_prints_each_change_and_their_number(file: Path) -> None:
    assert run("apply", str(file)).splitlines()[-2:] == ["+ routes default", "3 changes applied"]
    assert run("apply", str(file)) == "no changes\n"


def test_a_dry_run_says_that_nothing_was_applied(file: Path) -> None:
    assert run("apply", str(file), "--dry-run").endswith("3 changes, not applied (dry run)\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "can't be read: No such file"),
        (b"\xff\xfe\xfd", "is not UTF-8 text"),
        (b"providers: []\nroutes: []\nbudget: []", "budget: unknown field; did you mean budgets"),
    ],
)
def test_an_unusable_file_is_a_clear_error(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "broken.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CommandError, match=message):
        run("apply", str(path))


def test_export_writes_a_private_file_that_applies(file: Path, tmp_path: Path) -> None:
    run("apply", str(file))
    exported = tmp_path / "exported.yaml"
    run("export", str(exported))
    assert stat.S_IMODE(exported.stat().st_mode) == 0o600
    assert run("apply", str(exported)) == "no changes\n"


def test_export_without_a_file_prints(file: Path) -> None:
    run("apply", str(file))
    assert "name: default" in run("export")


def test_export_to_nowhere_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="can't be written"):
        run("export", str(tmp_path / "missing" / "file.yaml"))


def test_prices_seed_lists_what_it_added() -> None:
    assert "+ openai gpt-4-turbo\n" in run("prices", "seed")
    assert run("prices", "seed") == "no changes\n"


def test_a_generated_encryption_key_can_be_used() -> None:
    Fernet(run("generate_encryption_key").strip())
