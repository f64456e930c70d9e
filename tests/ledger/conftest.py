"""Databases with the ledger's tables in them, and writers on them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db.utils import ConnectionHandler
from pytest_django import DjangoDbBlocker

from gateway.ledger.connections import ledger_connections, ledger_lock_path
from gateway.ledger.database import LedgerConnection
from gateway.ledger.writer import LedgerWriter
from gateway.models.breaker import BreakerStatus, BreakerTransition
from gateway.models.budget_window import BudgetReservation, BudgetWindow
from gateway.models.completion import Attempt, Completion, Conversation, Fallback
from gateway.models.rollup import UsageHourChanged
from llmops.env import database_from_url, sqlite_database
from tests.ledger.books import Books

TABLES = (
    Completion,
    Attempt,
    Fallback,
    Conversation,
    BudgetWindow,
    BudgetReservation,
    BreakerStatus,
    BreakerTransition,
    UsageHourChanged,
)


def _make_tables(database: dict[str, Any], blocker: DjangoDbBlocker) -> None:
    """The ledger's tables as Django makes them."""
    handler = ConnectionHandler({"default": database})
    with blocker.unblock(), handler["default"].schema_editor() as editor:
        for table in TABLES:
            editor.create_model(table)
    handler["default"].close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker) -> Path:
    path = tmp_path_factory.mktemp("template") / "books.sqlite3"
    _make_tables(sqlite_database(path), django_db_blocker)
    return path


@pytest.fixture
def sqlite_books(tmp_path: Path, sqlite_template: Path) -> dict[str, Any]:
    path = tmp_path / "books.sqlite3"
    shutil.copy(sqlite_template, path)
    return sqlite_database(path)


@pytest.fixture(scope="session")
def _postgres_database(postgres_url: str, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, Any]]:
    """A database of this session's own on the server."""
    name = f"ledger_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        database = {**database_from_url(postgres_url, Path()), "NAME": name}
        _make_tables(database, django_db_blocker)
        yield database
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_books(_postgres_database: dict[str, Any]) -> dict[str, Any]:
    connection = ledger_connections(_postgres_database)()
    tables = ", ".join(table._meta.db_table for table in TABLES)
    connection.run(f"TRUNCATE {tables}", [()])
    connection.close()
    return _postgres_database


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A DATABASES entry; every test that asks for it runs on both engines."""
    return request.getfixturevalue(f"{request.param}_books")


@pytest.fixture
def connect(database: dict[str, Any]) -> Callable[[], LedgerConnection]:
    return ledger_connections(database)


@pytest.fixture
def connection(connect: Callable[[], LedgerConnection]) -> Iterator[LedgerConnection]:
    made = connect()
    yield made
    made.close()


@pytest.fixture
def books(connection: LedgerConnection) -> Books:
    return Books(connection)


@pytest.fixture
def writer(connect: Callable[[], LedgerConnection], database: dict[str, Any]) -> Iterator[LedgerWriter]:
    made = LedgerWriter(connect, lock_path=ledger_lock_path(database))
    made.start()
    yield made
    made.stop()
