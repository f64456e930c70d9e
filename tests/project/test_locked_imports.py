"""What production installs is all that it needs: the tests' environment has more, and would hide what is missing."""

from __future__ import annotations

import re
import subprocess
import sys

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
locked, modules = set(sys.argv[1].split()), sys.argv[2]
owners = importlib.metadata.packages_distributions()
there = lambda name: not owners.get(name) or {one.lower().replace("_", "-") for one in owners[name]} & locked

class OnlyLocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if not there(name.partition(".")[0]):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, OnlyLocked())
for name in modules.split():
    importlib.import_module(name)
"""


# In this order: the first sets Django up.
WHOLE = "llmops.asgi llmops.urls gateway.tasks gateway.providers.openai gateway.providers.anthropic"


def trouble_importing(modules: str) -> str:
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
    command = [sys.executable, "-W", "ignore", "-c", ONLY_LOCKED, " ".join(locked), modules]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def test_what_settings_read_in_is_among_what_production_installs() -> None:
    assert trouble_importing(" ".join(BY_CONFIGURATION)) == ""


def test_gateway_back_office_and_tasks_are_read_in_from_what_production_installs() -> None:
    assert trouble_importing(WHOLE) == ""


def test_a_module_that_only_the_tests_have_is_missed() -> None:
    """The tests above would pass if nothing were hidden."""
    assert "No module named 'pytest'" in trouble_importing("pytest")
