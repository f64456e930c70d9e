"""A pytest plugin, loaded before Django's settings are read: a test run has a data directory of its own.

Nothing of it may touch the checkout's own data, a provider's account or (unless a test asks for it) the user's servers.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

_FOLDER = Path(tempfile.mkdtemp(prefix="llmops-tests-"))


def _given(name: str) -> str:
    """The user's server to test against, out of the way of what the tests start. Under another name it stays there for
    the workers of a parallel run, which get this process's environment."""
    kept = f"LLMOPS_TESTS_{name}"
    os.environ[kept] = os.environ.pop(name, "") or os.environ.get(kept, "")
    return os.environ[kept]


REDIS_URL = _given("REDIS_URL")
DATABASE_URL = _given("DATABASE_URL")
# What Django's own tests run on, instead of SQLite in memory: `make matrix` names a PostgreSQL.
if _on := os.environ.get("LLMOPS_TESTS_ON", ""):
    os.environ["DATABASE_URL"] = _on
for _name in (
    "CELERY_BROKER_URL",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "DJANGO_SECRET_KEY",
    "LLMOPS_ENCRYPTION_KEYS",
):
    os.environ.pop(_name, None)
os.environ["LLMOPS_DATA_DIR"] = str(_FOLDER / "data")
os.environ["LLMOPS_ENV"] = "demo"


def pytest_configure(config: pytest.Config) -> None:
    if REDIS_URL and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError("REDIS_URL names one Redis, which each worker's tests empty: run them without -n.")


def pytest_unconfigure() -> None:
    shutil.rmtree(_FOLDER, ignore_errors=True)
