"""A pytest plugin, loaded before Django's settings are read: a test run has a data directory of its own.

Nothing of it may touch the checkout's own data, a provider's account or (unless a test asks for it) the user's servers.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_FOLDER = Path(tempfile.mkdtemp(prefix="llmops-tests-"))
REDIS_URL = os.environ.pop("REDIS_URL", "")
DATABASE_URL = os.environ.pop("DATABASE_URL", "")
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


def pytest_unconfigure() -> None:
    shutil.rmtree(_FOLDER, ignore_errors=True)
