"""What every room's tests share: real servers, started once per session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import environment, servers


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis: the environment's `REDIS_URL`, else one of our own. Tests flush it."""
    with ExitStack() as stack:
        yield environment.REDIS_URL or stack.enter_context(servers.redis_server(tmp_path_factory.mktemp("redis")))


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL: the environment's `DATABASE_URL`, else one of our own. Tests make databases in it."""
    given = environment.DATABASE_URL if environment.DATABASE_URL.startswith("postgres") else ""
    with ExitStack() as stack:
        yield given or stack.enter_context(servers.postgres_server())


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser's binary, for Playwright's `executable_path`."""
    return servers.chromium_path()
