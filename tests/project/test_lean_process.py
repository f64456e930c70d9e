"""What a gateway process reads in before anybody opens a page (docs/decisions/0026-lean-processes.md)."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LEFT_OUT = {
    *("gateway.admin", "gateway.api.operators", "gateway.dashboard.urls", "unfold.admin", "psycopg", "redis"),
    *("anthropic.lib.bedrock", "anthropic.resources.beta"),
}
DISCOVERED = """
import json, sys
import django
django.setup()
from django.core import checks
checks.run_checks(tags=[checks.Tags.admin])
print(json.dumps("gateway.admin.budget" in sys.modules))
"""


def told(*command: str) -> object:
    return json.loads(subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True).stdout)


def modules_read(*path: str) -> tuple[int | None, set[str]]:
    answer = told("-m", "tests.project.modules_read", *path)
    assert isinstance(answer, dict)
    return answer["status"], set(answer["modules"])


def test_being_ready_for_agents_reads_in_no_back_office_no_redis_and_no_other_clouds() -> None:
    _, modules = modules_read()
    assert not modules & LEFT_OUT


def test_being_scraped_reads_in_no_back_office() -> None:
    status, modules = modules_read("/metrics")
    assert (status, modules & LEFT_OUT) == (200, set())


def test_the_first_page_reads_in_the_whole_back_office() -> None:
    status, modules = modules_read("/admin/login/")
    assert status == 200
    assert {"gateway.admin.budget", "gateway.api.operators", "gateway.dashboard.urls"} <= modules


def test_djangos_checks_look_at_the_back_office() -> None:
    assert told("-c", DISCOVERED) is True


@pytest.mark.parametrize("module", ["gateway.admin.team", "gateway.dashboard.spend_page"])
def test_a_back_office_that_could_not_be_read_in_is_whole_with_the_next_page(module: str) -> None:
    answer = told("-m", "tests.project.pages_after_trouble", module)
    assert isinstance(answer, dict)
    assert (answer["failed"], answer["tries"], answer["after"]) == (["OSError"] * 3, 1, 200)
    assert {"Team", "Provider", "Alert", "User", "Group"} <= set(answer["forms"])
