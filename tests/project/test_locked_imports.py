"""What production installs is all that it needs: the tests' environment has more, and would hide what is missing."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.project.licences import ROOT

# Read in only where the configuration or the environment asks for it, so that no start of the demonstration does.
BY_CONFIGURATION = (
    "kombu.transport.redis",
    "kombu.transport.pyamqp",
    "kombu.transport.filesystem",
    "celery.apps.beat",
    "celery.apps.worker",
    "django_redis.cache",
    "redis.asyncio",
    "psycopg",
    "apprise",
    "uvloop",
    "uvicorn.protocols.http.httptools_impl",
)
# A distribution that the lock file doesn't pin is as if it weren't installed.
ONLY_LOCKED = """
import importlib, importlib.abc, importlib.metadata, sys
locked, module = set(sys.argv[1].split()), sys.argv[2]
owners = importlib.metadata.packages_distributions()
there = lambda name: not owners.get(name) or {one.lower().replace("_", "-") for one in owners[name]} & locked

class OnlyLocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if not there(name.partition(".")[0]):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, OnlyLocked())
importlib.import_module(module)
"""


@pytest.mark.parametrize("module", BY_CONFIGURATION)
def test_what_a_setting_reads_in_is_among_what_production_installs(module: str) -> None:
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
    command = [sys.executable, "-W", "ignore", "-c", ONLY_LOCKED, " ".join(locked), module]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stderr == ""
