"""A copy of the whole database while everything runs, and its way back (docs/backup.md).

SQLite is copied by its online backup within one read transaction: writers go on, since the journal is a WAL, and the
copy is the state of one moment. PostgreSQL is dumped by its own `pg_dump`, which promises the same. Files appear whole
or not at all, and only their owner can read them.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Mapping
from contextlib import closing
from itertools import count
from pathlib import Path

from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader

from gateway.crypto import SecretUnreadable
from gateway.models import AlertChannel, Completion, Provider

SQLITE = "sqlite"
_OURS = "llmops_completion"
# In `pg_dump`'s environment, where no list of processes shows them.
_LIBPQ = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
_LIBPQ |= {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY"}

_PARTS = ("", "-wal", "-shm")  # of a SQLite database


class BackupFailed(Exception):
    """Nothing was written; the text says why and what to do."""


class RestoreFailed(Exception):
    """The database is as it was; the text says why and what to do."""


def database_backup(file: Path) -> int:
    """Write the database to `file` (replacing what was there); its size in bytes. Raises BackupFailed."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        copy = _sqlite_copy if connection.vendor == SQLITE else _pg_dump
        copy(draft)
        _sync(draft)
        draft.replace(file)
        return file.stat().st_size
    except OSError as error:
        raise BackupFailed(f"{file} can't be written: {error.strerror}.") from None
    except sqlite3.Error as error:
        raise BackupFailed(f"The database can't be copied: {error}.") from None
    finally:
        draft.unlink(missing_ok=True)


def _sqlite_copy(draft: Path) -> None:
    with closing(sqlite3.connect(_sqlite_path())) as source, closing(sqlite3.connect(draft)) as copy:
        source.backup(copy)  # all pages in one step: steps would begin anew with every write in between
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a WAL beside it
        if (said := _damage(copy)) != "ok":
            raise BackupFailed(f"The database is damaged: {said}.")


def _damage(copy: sqlite3.Connection) -> str:
    """What is wrong with the file, or "ok". Constraints are left out: they call functions that only Django adds."""
    copy.execute("PRAGMA ignore_check_constraints=ON")
    return str(copy.execute("PRAGMA quick_check").fetchone()[0])


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _pg_dump(draft: Path) -> None:
    if problem := _pg_program("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={draft}"):
        raise BackupFailed(problem)


def database_restore(file: Path, *, replace: bool) -> None:
    """Make the database what it was at the backup. What is in it now must be nothing, or given up by `replace`.

    Everything that uses the database must have ended. A SQLite database that is replaced is kept beside the new one,
    as `….before-restore-1`, or the next free number. Raises RestoreFailed.
    """
    if not file.is_file():
        raise RestoreFailed(f"There is no file {file}.")
    _refuse_loss(replace=replace)
    if connection.vendor == SQLITE:
        _sqlite_restore(file)
    else:
        _refuse_company()
        _pg_restore(file)
    connections.close_all()


def _refuse_loss(*, replace: bool) -> None:
    if not replace and _OURS in connection.introspection.table_names() and Completion.objects.exists():
        raise RestoreFailed("The database has requests in it, which a restore would lose. --replace gives them up.")


def _sqlite_restore(file: Path) -> None:
    database = Path(_sqlite_path())
    _check_sqlite(file)
    connections.close_all()
    draft = database.with_name(f".{database.name}.{secrets.token_hex(4)}")
    try:
        shutil.copyfile(file, draft)
        draft.chmod(0o600)
        _sync(draft)
        put_aside(database)
        draft.replace(database)
    except OSError as error:
        raise RestoreFailed(f"{database} can't be replaced: {error.strerror}.") from None
    finally:
        draft.unlink(missing_ok=True)


def put_aside(database: Path) -> None:
    """The old one with its WAL, which would spoil the new one. What earlier restores kept is not overwritten."""
    names = (f"{database.name}.before-restore-{number}" for number in count(1))
    kept = next(name for name in names if not any(database.with_name(name + part).exists() for part in _PARTS))
    for part in _PARTS:
        old = database.with_name(database.name + part)
        if old.exists():
            old.replace(database.with_name(kept + part))


def _check_sqlite(file: Path) -> None:
    try:
        with closing(sqlite3.connect(f"file:{file.resolve()}?mode=ro&immutable=1", uri=True)) as copy:
            said = _damage(copy)
            ours = copy.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [_OURS]).fetchone()
    except sqlite3.DatabaseError as error:
        raise RestoreFailed(f"{file} is no SQLite database: {error}.") from None
    if said != "ok":
        raise RestoreFailed(f"{file} is damaged: {said}.")
    if ours is None:
        raise RestoreFailed(f"{file} is no backup of llmops: it has no table {_OURS}.")


def _refuse_company() -> None:
    sql = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql)
        (others,) = cursor.fetchone() or (0,)
    if others:
        raise RestoreFailed(f"The database is in use by {others} other connections. Stop gateways and workers first.")


def _pg_restore(file: Path) -> None:
    connections.close_all()
    how = ("--clean", "--if-exists", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
    if problem := _pg_program("pg_restore", *how, f"--dbname={connection.settings_dict['NAME']}", str(file)):
        raise RestoreFailed(problem)


def _pg_program(name: str, *arguments: str) -> str:
    """Run one of PostgreSQL's programs on our database; what is wrong, or ""."""
    try:
        done = subprocess.run(  # noqa: S603  our own arguments
            [name, "--no-password", *arguments],
            env={**os.environ, **_libpq_environment()},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return (
            f"{name} is not on this machine. Install PostgreSQL's client programs (Debian: postgresql-client), "
            "at least as new as the server."
        )
    return "" if done.returncode == 0 else f"{name} failed: {done.stderr.strip()[-1000:]}"


def _libpq_environment() -> Mapping[str, str]:
    parameters = connection.get_connection_params()
    return {_LIBPQ[name]: str(value) for name, value in parameters.items() if name in _LIBPQ and value}


def _sqlite_path() -> str:
    return str(connection.settings_dict["NAME"])


def unknown_migrations() -> list[str]:
    """The gateway's migrations that the database has had and this version doesn't know: it is of a newer one."""
    loader = MigrationLoader(connection)
    known = loader.disk_migrations or {}
    return sorted(key[1] for key in loader.applied_migrations or {} if key[0] == "gateway" and key not in known)


def unreadable_secrets() -> list[str]:
    """Whose stored secrets LLMOPS_ENCRYPTION_KEYS don't open, by name."""
    readers: list[tuple[str, Callable[[], object]]] = []
    readers += [(f"provider {one.name}", one.stored_api_key) for one in Provider.objects.alive()]
    readers += [(f"alert channel {one.name}", one.url) for one in AlertChannel.objects.alive()]
    return [name for name, read in readers if not _opens(read)]


def _opens(read: Callable[[], object]) -> bool:
    try:
        read()
    except SecretUnreadable:
        return False
    return True
