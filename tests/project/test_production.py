"""What production refuses to start with, and that Django's own deployment checks find nothing."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from llmops.production import refuse_insecure

ROOT = Path(__file__).resolve().parents[2]
GOOD = "k0" + "abcdefgh" * 8


def test_the_deployment_checks_find_nothing_in_production(tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "LLMOPS_ENV": "production",
        "LLMOPS_DATA_DIR": str(tmp_path),
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(50),
        "LLMOPS_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

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
