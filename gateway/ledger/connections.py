"""Makes the ledger's connections from Django's settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.ledger.database import LedgerConnection

# What Django's PostgreSQL backend keeps for itself; everything else in OPTIONS is libpq's.
_DJANGO_OPTIONS = frozenset({"pool", "server_side_binding", "isolation_level", "assume_role"})
_LIBPQ_NAMES = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}


def ledger_connections(database: Mapping[str, Any] | None = None) -> Callable[[], LedgerConnection]:
    """A maker of connections to `database` (an entry of DATABASES; None: the default one).

    Nothing is opened before the maker is called. Raises ValueError for an engine the ledger has no dialect for.
    """
    database = _default() if database is None else database
    engine = _engine(database)
    if engine == "sqlite3":
        return _sqlite(str(database["NAME"]))
    if engine == "postgresql":
        return _postgres(database)
    raise ValueError(f"the ledger writes to SQLite or PostgreSQL, not to {engine}")


def ledger_lock_path(database: Mapping[str, Any] | None = None) -> Path | None:
    """The file lock by which all ledger writers of a SQLite file take turns; None where the server sees to that."""
    database = _default() if database is None else database
    path = str(database["NAME"])
    if _engine(database) != "sqlite3" or path.startswith("file:"):
        return None
    return Path(f"{path}.ledger-lock")


def _default() -> Mapping[str, Any]:
    from django.conf import settings

    database: Mapping[str, Any] = settings.DATABASES["default"]
    return database


def _engine(database: Mapping[str, Any]) -> str:
    return str(database["ENGINE"]).rpartition(".")[2]


def _sqlite(path: str) -> Callable[[], LedgerConnection]:
    from gateway.ledger.sqlite import SqliteConnection

    return lambda: SqliteConnection(path)


def _postgres(database: Mapping[str, Any]) -> Callable[[], LedgerConnection]:
    # psycopg takes its time to import, and a SQLite installation never needs it.
    from gateway.ledger.postgres import PostgresConnection

    parameters = {libpq: database[name] for name, libpq in _LIBPQ_NAMES.items() if database.get(name)}
    options = database.get("OPTIONS") or {}
    parameters |= {name: value for name, value in options.items() if name not in _DJANGO_OPTIONS}
    return lambda: PostgresConnection(parameters)
