"""`manage.py up` in production, as deploy/ starts it: nothing of the demonstration, tasks elsewhere if wished."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.servers import free_port
from tests.supervisor.conftest import ROOT, Program


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Program]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up", "--port", str(port), "--no-simulator", "--no-tasks"],
        cwd=ROOT,
        env={
            **os.environ,
            "LLMOPS_ENV": "production",
            "LLMOPS_DATA_DIR": str(tmp_path / "data"),
            "DJANGO_SECRET_KEY": "a test's own secret, long enough to be taken for one: 0123456789",
            "LLMOPS_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "LLMOPS_ALLOWED_HOSTS": "llmops.example.com",
            "LLMOPS_TRUSTED_PROXIES": "1",
            "PYTHONUNBUFFERED": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    program = Program(process, port)
    yield program
    process.kill()
    process.communicate()


def test_an_installation_without_routes_opens_its_back_office_and_says_what_is_missing(started: Program) -> None:
    started.until("no route is configured")
    started.until("Ctrl-C stops everything.")
    url = f"http://127.0.0.1:{started.port}"
    with urllib.request.urlopen(f"{url}/healthz") as alive:  # by an address, as a container asks for its own health
        assert alive.status == 200
    by_proxy = {"host": "llmops.example.com", "x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1"}
    login = urllib.request.Request(f"{url}/admin/login/", headers=by_proxy)
    with urllib.request.urlopen(login) as page:
        assert page.status == 200
    with pytest.raises(urllib.error.HTTPError) as not_ready:
        urllib.request.urlopen(f"{url}/readyz")
    assert b"add a route in the back office" in not_ready.value.read()
    assert not [line for line in started.printed if "Login" in line]
