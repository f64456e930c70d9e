"""A PostgreSQL in the place of the suite's SQLite, for tests of pages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from django.core.management import call_command
from django.db import connections
from django.db.utils import ConnectionHandler

from llmops.env import database_from_url


@contextmanager
def postgres_with_tables(url: str) -> Iterator[ConnectionHandler]:
    """A database of this process's own on the server, migrated."""
    name = f"pages_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        handler = ConnectionHandler({"default": {**database_from_url(url, Path()), "NAME": name}})
        try:
            with in_use(handler):
                call_command("migrate", verbosity=0)
            yield handler
        finally:
            handler["default"].close()
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def in_use(handler: ConnectionHandler) -> Iterator[None]:
    """Its default connection is everybody's in this thread."""
    usual = connections["default"]
    connections["default"] = handler["default"]
    try:
        yield
    finally:
        connections["default"] = usual
