"""What the documents promise is there: every variable, verb, option and link."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import load_command_class

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_READ = re.compile(r"""(?:env_\w+|installation_secret|environ(?:\.\w+)?)\s*[\(\[]\s*["']([A-Z][A-Z0-9_]+)["']""")
_NAMED = re.compile(r"""^[A-Z_]+ = ["'](LLMOPS_[A-Z_]+)["']""", re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def variables_read() -> Iterator[str]:
    for path in [*(ROOT / "llmops").rglob("*.py"), *(ROOT / "gateway").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        yield from _READ.findall(text)
        yield from _NAMED.findall(text)


@pytest.mark.parametrize("name", sorted(set(variables_read())))
def test_every_variable_the_code_reads_is_documented(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs/environment.md").read_text(encoding="utf-8")


def test_variables_are_found_at_all() -> None:
    """The test above would pass without any."""
    assert {"DATABASE_URL", "DJANGO_SECRET_KEY", "LLMOPS_READY_FD"} <= set(variables_read())


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    targets = _LINK.findall(path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []


def verbs() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_verb_in_a_document_exists(path: Path) -> None:
    used = re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert {verb for verb in used if not verb.startswith("matrix-")} <= verbs()  # matrix-openai-1: one of a pattern


def test_contributing_names_every_verb() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [verb for verb in sorted(verbs()) if f"`make {verb}" not in text] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_management_command_in_a_document_exists(path: Path) -> None:
    used = set(re.findall(r"manage\.py ([a-z_]+)", path.read_text(encoding="utf-8")))
    ours = {command.stem for command in (ROOT / "gateway/management/commands").glob("*.py")}
    djangos = {"migrate", "createsuperuser", "shell", "check", "makemigrations", "changepassword", "help"}
    assert used <= ours | djangos


def test_contributing_and_design_agree_on_the_options_of_up() -> None:
    parser = load_command_class("gateway", "up").create_parser("manage.py", "up")
    options = {option for action in parser._actions for option in action.option_strings}
    assert {"--config", "--host", "--port", "--workers", "--no-simulator"} <= options


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-test.lock"])
def test_lock_file_pins_by_hash_and_names_no_host_or_path(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    pins = re.findall(r"^[a-z0-9][^\s=]*==[^\s;\\]+[^\n]*\\\n    --hash=sha256:", text, re.MULTILINE)
    packages = re.findall(r"^[a-z0-9]", text, re.MULTILINE)
    assert len(pins) == len(packages) > 50
    assert "://" not in text
    assert re.findall(r"^(?:-|/|\.).*| @ .*", text, re.MULTILINE) == []
