"""What production refuses to start with, and that Django's own deployment checks find nothing."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from llmops.env import env_url
from llmops.production import refuse_insecure

ROOT = Path(__file__).resolve().parents[2]
GOOD = "k0" + "abcdefgh" * 8


def checked(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    environment = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_deployment_checks_find_nothing_in_production(tmp_path: Path) -> None:
    environment = {
        "LLMOPS_ENV": "production",
        "LLMOPS_DATA_DIR": str(tmp_path),
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(50),
        "LLMOPS_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    }

    done = checked(environment)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("values", "part"),
    [
        pytest.param({"secret_key": "short"}, "DJANGO_SECRET_KEY", id="short secret"),
        pytest.param({"secret_key": "a" * 80}, "DJANGO_SECRET_KEY", id="secret of one letter"),
        pytest.param({"hosts": ["*"]}, "LLMOPS_ALLOWED_HOSTS", id="any host"),
        pytest.param({"origins": ["http://llmops.example.com"]}, "LLMOPS_TRUSTED_ORIGINS", id="origin without TLS"),
    ],
)
def test_production_refuses(values: dict[str, object], part: str) -> None:
    given = {"secret_key": GOOD, "hosts": ["llmops.example.com"], "origins": [], **values}

    with pytest.raises(ImproperlyConfigured, match=part) as refused:
        refuse_insecure(**given)  # type: ignore[arg-type]

    assert str(given["secret_key"]) not in str(refused.value)


def test_production_takes_what_is_sound() -> None:
    refuse_insecure(secret_key=GOOD, hosts=["llmops.example.com"], origins=["https://llmops.example.com"])


def example_values() -> dict[str, str]:
    """What the commands in the comments of deploy/env.example make, by the variable below each."""
    text = (ROOT / "deploy" / "env.example").read_text()
    commands = re.findall(r'^# python3 -c "(.*)"\n([A-Z_]+)=$', text, re.MULTILINE)
    return {
        name: subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        for code, name in commands
    }


def test_production_starts_with_what_the_example_of_deploy_says_to_make(tmp_path: Path) -> None:
    values = example_values()
    database = f"postgres://llmops:{values.pop('POSTGRES_PASSWORD')}@postgres:5432/llmops"

    done = checked({**values, "DATABASE_URL": database, "LLMOPS_ENV": "production", "LLMOPS_DATA_DIR": str(tmp_path)})

    assert set(values) == {"DJANGO_SECRET_KEY", "LLMOPS_ENCRYPTION_KEYS"}
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL"])
@pytest.mark.parametrize("password", ["hush/hushhush", "hush#hushhush", "hush[hushhush"])
def test_a_password_that_breaks_its_address_stops_the_start_untold(
    name: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheme = "postgres" if name == "DATABASE_URL" else "redis"
    monkeypatch.setenv(name, f"{scheme}://llmops:{password}@127.0.0.1:5432/0")

    with pytest.raises(ImproperlyConfigured, match=f"{name}.*%2F") as refused:
        env_url(name, (scheme,))

    assert "hush" not in "".join(traceback.format_exception(refused.value))
