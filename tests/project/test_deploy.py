"""What can be held of deploy/ without containers: that it names only what exists."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import load_command_class

from gateway.supervisor.plan import task_clock_part, task_worker_part

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
UNIT = (DEPLOY / "systemd" / "llmops.service").read_text()
DOCUMENTED = (ROOT / "docs" / "environment.md").read_text()
NOT_OURS = {"POSTGRES_PASSWORD"}


def up_commands() -> list[list[str]]:
    in_image = json.loads(re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[0])
    in_unit = re.findall(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)[0].split()
    return [in_image[2:], in_unit[2:]]


@pytest.mark.parametrize("command", up_commands(), ids=["image", "unit"])
def test_what_is_started_is_a_command_with_options_it_takes(command: list[str]) -> None:
    verb, *options = command
    parsed = load_command_class("gateway", verb).create_parser("manage.py", verb).parse_args(options)
    assert parsed.no_simulator


@pytest.mark.parametrize("service", ["worker", "beat"])
def test_celery_is_started_as_up_starts_it(service: str) -> None:
    """Else an option that a new Celery doesn't take would be found out by nobody."""
    parts = {"worker": task_worker_part(), "beat": task_clock_part(Path("/tmp"))}  # noqa: S108  as compose.yaml has it
    words = COMPOSE["services"][service]["command"]
    assert words[:5] == ["python", "-m", "celery", "--app", "llmops"]
    assert set(words[5:]) - set(parts[service].command) == set()


def test_every_folder_that_the_image_copies_exists_and_is_let_through() -> None:
    copied = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE)
    let_through = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    assert {name for name in copied if not (ROOT / name).exists()} == set()
    assert {name for name in copied if f"!{name}" not in let_through} == set()


def test_every_variable_that_is_set_is_documented() -> None:
    example = re.findall(r"^([A-Z_]+)=", (DEPLOY / "env.example").read_text(), re.MULTILINE)
    in_unit = re.findall(r"\b(LLMOPS_[A-Z_]+)=", UNIT)
    in_image = re.findall(r"\b(LLMOPS_[A-Z_]+)=", DOCKERFILE)
    shared = COMPOSE["x-llmops"]["environment"]
    names = {*example, *in_unit, *in_image, *shared} - NOT_OURS
    assert {name for name in names if f"`{name}`" not in DOCUMENTED} == set()


def test_stopping_takes_longer_than_a_drain() -> None:
    longest_seconds = 120 + 15
    assert int(re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)[0]) >= longest_seconds
    assert int(COMPOSE["services"]["gateway"]["stop_grace_period"].rstrip("s")) >= longest_seconds


def told_metrics() -> set[str]:
    return set(re.findall(r"`(llmops_[a-z_]+)`", (ROOT / "docs" / "metrics.md").read_text()))


@pytest.mark.parametrize("file", ["prometheus/alerts.yaml", "grafana/llmops.json"])
def test_rules_and_panels_ask_for_metrics_that_exist(file: str) -> None:
    asked = set(re.findall(r"\bllmops_[a-z_]+", (DEPLOY / file).read_text()))
    known = told_metrics() | {f"{name}_{end}" for name in told_metrics() for end in ("bucket", "sum", "count")}
    assert asked
    assert asked - known == set()
