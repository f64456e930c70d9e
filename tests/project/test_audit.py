"""What is said of an audit of the locked packages: above all, that nothing is called clean that nobody looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.project.audit import Status, main, verdict

UNREACHED = "Traceback …\nrequests.exceptions.ConnectionError: HTTPSConnectionPool(host='api.osv.dev'): no route"
CLEAN = {"name": "django", "version": "5.2.1", "vulns": []}
SKIPPED = {"name": "orjson", "skip_reason": "could not be audited"}
FLAW = {"id": "PYSEC-1", "aliases": ["CVE-2026-1"], "fix_versions": ["1.1"], "description": "…"}
VULNERABLE = {"name": "redis", "version": "1.0", "vulns": [FLAW]}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([CLEAN], Status.CLEAN, "1 packages audited, no known vulnerability."),
        ([CLEAN, VULNERABLE], Status.VULNERABLE, "redis 1.0: PYSEC-1, CVE-2026-1; fixed in 1.1"),
        ([SKIPPED, VULNERABLE], Status.VULNERABLE, "redis 1.0"),
        ([CLEAN, SKIPPED], Status.UNREACHED, "1 of 2 packages were not audited: orjson."),
        ([SKIPPED], Status.UNREACHED, "nothing was audited"),
    ],
)
def test_a_report_is_clean_only_when_every_package_was_looked_up(
    packages: list[dict[str, Any]], status: Status, said: str
) -> None:
    found = verdict(json.dumps({"dependencies": packages, "fixes": []}), "")
    assert found.status is status
    assert said in found.text


def test_an_audit_that_reached_nobody_says_so() -> None:
    found = verdict("", UNREACHED)
    assert (found.status, found.text.splitlines()[0]) == (
        Status.UNREACHED,
        "No advisory service reached: nothing was audited.",
    )


def test_any_other_failure_is_none_of_the_network() -> None:
    assert verdict("", "ValueError: requirements.lock, line 3").status is Status.FAILED


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Stands for a pip-audit that found no network."""
    path = tmp_path / "pip-audit"
    path.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{UNREACHED}\nEND\nexit 1\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("options", "status"), [([], 3), (["--unreached-passes"], 0)])
def test_whether_a_missing_network_fails_is_the_caller_s_choice(
    program: Path, options: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(program), *options]) == status
    assert "nothing was audited" in capsys.readouterr().out
