"""What `up` does before the parts start: it repeats nothing, overwrites nothing and explains what it can't use."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import CommandError

from gateway.engine.words import Wire
from gateway.management.commands.up import private_redis_for, simulator_port_number
from gateway.models import ApiKey, AppliedFile, Provider, Route
from gateway.services.configuration_file import ConfigurationFileError
from gateway.supervisor import private_redis
from gateway.supervisor.plan import gateway_part
from gateway.supervisor.prepare import (
    demo_credentials,
    file_apply_once,
    file_to_apply,
    kinds_in_use,
    simulator_is_used,
)
from tests.supervisor.conftest import ROOT

pytestmark = pytest.mark.django_db

CONFIGURATION = """
providers:
  - {name: openai, kind: openai, base_url: "http://127.0.0.1:8100/openai/v1", api_key: test, retries: 3}
routes:
  - {name: default, targets: [{provider: openai, model: gpt-4-turbo}]}
prices:
  - {kind: openai, model: gpt-4-turbo, input_per_mtok: "10", output_per_mtok: "30"}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "demo.yaml"
    path.write_text(CONFIGURATION)
    return path


def retries() -> int:
    return Provider.objects.get(name="openai").retries


def test_file_is_applied_once_so_that_an_edit_in_the_admin_outlives_a_restart(file: Path) -> None:
    assert file_apply_once(file)
    Provider.objects.update(retries=1)
    assert not file_apply_once(file)
    assert retries() == 1


def test_changed_file_is_applied_again(file: Path) -> None:
    file_apply_once(file)
    file.write_text(CONFIGURATION.replace("retries: 3", "retries: 7"))
    assert file_apply_once(file)
    assert retries() == 7


def test_file_applied_before_another_one_is_applied_again(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "live.yaml"
    other.write_text(CONFIGURATION.replace("retries: 3", "retries: 7"))
    for path in (file, other, file):
        assert file_apply_once(path)
    assert retries() == 3


def simulator_addresses() -> list[str]:
    return list(Provider.objects.values_list("base_url", flat=True))


def test_simulator_on_another_port_is_where_the_demonstrations_providers_are(file: Path) -> None:
    file_apply_once(file, simulator_port=8101)
    assert simulator_addresses() == ["http://127.0.0.1:8101/openai/v1"]
    assert simulator_is_used(8101)


def test_simulator_that_moves_takes_the_demonstrations_providers_along(file: Path) -> None:
    file_apply_once(file, simulator_port=8101)
    assert file_apply_once(file)
    assert simulator_addresses() == ["http://127.0.0.1:8100/openai/v1"]


def test_simulator_that_stays_on_another_port_leaves_edits_in_the_admin(file: Path) -> None:
    file_apply_once(file, simulator_port=8101)
    Provider.objects.update(retries=1)
    assert not file_apply_once(file, simulator_port=8101)
    assert retries() == 1


@pytest.mark.parametrize("text", ["0", "65536", "-1", "x", ""])
def test_port_that_no_provider_can_name_is_refused_for_the_simulator(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="port"):
        simulator_port_number(text)


def test_gateway_worker_is_told_whose_sdks_it_will_need() -> None:
    Provider.objects.create(name="first", kind="openai", base_url="https://example.com/v1")
    Provider.objects.create(name="second", kind="openai", base_url="https://example.org/v1")
    Provider.objects.create(name="away", kind="anthropic", base_url="https://example.com", enabled=False)
    assert kinds_in_use() == [Wire.OPENAI]
    assert gateway_part(1, 7, kinds=kinds_in_use()).command[-1] == "--sdk=openai"


def test_file_with_a_typo_leaves_nothing_behind(file: Path) -> None:
    file.write_text(CONFIGURATION.replace("retries", "retrys"))
    with pytest.raises(ConfigurationFileError, match="retrys"):
        file_apply_once(file)
    assert (Provider.objects.count(), Route.objects.count(), AppliedFile.objects.count()) == (0, 0, 0)


def test_demonstration_is_set_up_where_nothing_is_configured(file: Path) -> None:
    assert file_to_apply(None, file, demo=True) == file


def test_other_configuration_is_not_replaced_by_the_demonstration(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "live.yaml"
    other.write_text(CONFIGURATION)
    file_apply_once(other)
    assert file_to_apply(None, file, demo=True) is None


def test_configuration_made_by_hand_is_not_replaced_by_the_demonstration(file: Path) -> None:
    Provider.objects.create(name="mine", kind="openai", base_url="https://example.com/v1")
    assert file_to_apply(None, file, demo=True) is None


def test_production_applies_only_what_it_is_told_to(file: Path) -> None:
    assert file_to_apply(None, file, demo=False) is None
    assert file_to_apply(file, Path("demo.yaml"), demo=False) == file


def test_first_start_makes_an_administrator_and_a_key(file: Path) -> None:
    made = demo_credentials()
    assert made is not None
    assert made.api_key.startswith("sk-llmops-")
    assert get_user_model().objects.get(username=made.user).check_password(made.password)


def test_later_starts_make_nobody(file: Path) -> None:
    demo_credentials()
    assert demo_credentials() is None
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    ("base_url", "used"),
    [
        ("http://127.0.0.1:8100/openai/v1", True),
        ("http://localhost:8100/openai/v1", True),
        ("http://127.0.0.1:9000/openai/v1", False),
        ("https://api.example.com/v1", False),
    ],
)
def test_simulator_is_started_where_a_provider_is_it(base_url: str, used: bool) -> None:
    Provider.objects.create(name="openai", kind="openai", base_url=base_url)
    assert simulator_is_used(8100) is used


def test_disabled_provider_needs_no_simulator() -> None:
    Provider.objects.create(name="openai", kind="openai", base_url="http://127.0.0.1:8100/v1", enabled=False)
    assert not simulator_is_used(8100)


def test_several_workers_without_any_redis_are_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_redis, "redis_binary", lambda: None)
    with pytest.raises(CommandError, match="Set REDIS_URL, or install a server") as refused:
        private_redis_for(2)
    assert str(refused.value).endswith("or start with --workers 1.")


def test_several_workers_get_a_redis_of_their_own_on_a_socket_only_we_may_use(settings: Any) -> None:
    private = private_redis_for(2)
    assert private is not None
    assert private.url == f"unix://{settings.DATA_DIR}/redis.sock"
    command = " ".join(private.part.command)
    assert "--port 0" in command
    assert "--unixsocketperm 600" in command


def test_several_workers_use_the_redis_that_is_named(settings: Any) -> None:
    settings.REDIS_URL = "redis://redis.invalid/0"
    assert private_redis_for(4) is None


def test_a_socket_path_no_kernel_takes_is_told(settings: Any) -> None:
    settings.DATA_DIR = Path("/" + "x" * 120)
    with pytest.raises(CommandError, match="too long a path: set REDIS_URL, or LLMOPS_DATA_DIR"):
        private_redis_for(2)


@pytest.mark.parametrize("workers", [0, -1])
def test_fewer_than_one_worker_is_refused(workers: int) -> None:
    with pytest.raises(CommandError, match=f"--workers must be at least 1, not {workers}"):
        private_redis_for(workers)


@pytest.mark.parametrize("port", ["-1", "65536", "http", "8e3"])
def test_impossible_port_is_refused(port: str) -> None:
    with pytest.raises(CommandError, match="a port is a whole number from 0 to 65535"):
        call_command("up", "--port", port)


@pytest.mark.parametrize("seconds", ["-1", "1.5", "86401", "long"])
def test_impossible_drain_is_refused(seconds: str) -> None:
    with pytest.raises(CommandError, match="a drain's length is a whole number of seconds from 0 to 86400"):
        call_command("up", "--drain-seconds", seconds)


def test_missing_file_is_one_sentence(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    with pytest.raises(CommandError, match=r"^Can't read .*none\.yaml: No such file or directory\.$"):
        call_command("up", "--port", "0", "--config", str(missing))


def test_unusable_file_is_told_with_the_path_of_the_wrong_field(file: Path) -> None:
    file.write_text(CONFIGURATION.replace("retries: 3", "retries: many"))
    with pytest.raises(CommandError, match=r"providers\[0\]\.retries"):
        call_command("up", "--port", "0", "--config", str(file))


@pytest.mark.parametrize("module", ["gateway.management.commands.up", "gateway.tasks", "llmops.celery"])
def test_supervisor_worker_and_beat_do_not_import_the_vendors_sdks(module: str) -> None:
    """They take seconds to import, and only the gateway calls anybody."""
    sdks = "sorted({'openai', 'anthropic'} & {*sys.modules})"
    program = f"import sys, django; django.setup(); import {module}; print({sdks})"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "llmops.settings"}
    imported = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert imported.strip() == "[]"
