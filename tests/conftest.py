"""What every room's tests share: real servers, started once per session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.db.utils import ConnectionHandler
from pytest_django import DjangoDbBlocker

from tests import environment, servers
from tests.pages_database import postgres_with_tables


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
def postgres_pages(postgres_url: str, django_db_blocker: DjangoDbBlocker) -> Iterator[ConnectionHandler]:
    """A PostgreSQL with the product's tables, for `pages_database.in_use`. What a test writes there it removes."""
    with django_db_blocker.unblock(), postgres_with_tables(postgres_url) as handler:
        yield handler


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser's binary, for Playwright's `executable_path`."""
    return servers.chromium_path()
