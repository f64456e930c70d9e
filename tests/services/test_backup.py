"""A backup made while a gateway writes is restored elsewhere, and the books of the restored one agree."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from bench.audit import completions, sums_disagreeing
from bench.books import KEY, document
from bench.clients import Request, chat, send_all
from bench.fleet import Fleet, fleet, unconfigured_fleet
from gateway.ledger.connections import ledger_connections, ledger_lock_path
from gateway.ledger.sweep import orphans_settle
from gateway.services.backup import RestoreFailed, database_restore, put_aside, unknown_migrations, unreadable_secrets
from gateway.simulator import SimulatorThread
from gateway.simulator.server import Simulator
from llmops.env import database_from_url
from tests.selectors.rows import add_completion, add_provider
from tests.servers import postgres_binaries

CLIENTS = 8
LATER = timedelta(days=1)  # when every lease is over


@dataclass(frozen=True, slots=True)
class Place:
    """A folder and a database, as two machines would have one each."""

    folder: Path
    database_url: str


def new_database(postgres_url: str, name: str) -> str:
    with psycopg.connect(postgres_url.replace("postgres://", "postgresql://"), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}"')
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"{postgres_url.rpartition('/')[0]}/{name}"


def requests(count: int, first: int = 0) -> list[Request]:
    numbers = range(first, first + count)
    return [Request(n, f"b-{n % 7}", chat("[[tokens: 9]] Say it.", stream=n % 2 == 0)) for n in numbers]


def settled(place: Place) -> tuple[int, list[str]]:
    """How many completions there are once what was under way is settled, and which sums disagree."""
    database = database_from_url(place.database_url, place.folder / "data")
    with closing(ledger_connections(database)()) as connection:
        orphans_settle(connection, datetime.now(UTC) + LATER, lock_path=ledger_lock_path(database))
        return len(completions(connection)), sums_disagreeing(connection)


async def backed_up_under_load(gateway: Fleet, file: Path) -> int:
    """How many requests were sent: they go on until after the backup is made."""
    sent = 0
    backup = asyncio.create_task(asyncio.to_thread(gateway.manage, "backup", str(file)))
    while sent == 0 or not backup.done():
        await send_all(gateway.port, KEY, requests(CLIENTS * 2, sent), clients=CLIENTS)
        sent += CLIENTS * 2
    await backup
    return sent


def backup_of_a_busy_gateway(place: Place, simulator: Simulator, file: Path) -> int:
    with fleet(place.folder, document(simulator.url, []), processes=1, database_url=place.database_url) as gateway:
        return asyncio.run(backed_up_under_load(gateway, file))


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A gateway backed up under load, its backup restored elsewhere, and a gateway started there."""

    sent: int
    said: str
    restored: int  # completions
    answers: dict[int, int]
    here: Place
    there: Place
    file: Path


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def round_trip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RoundTrip:
    folder = tmp_path_factory.mktemp("round-trip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMOPS_ENCRYPTION_KEYS", Fernet.generate_key().decode())
        urls = ["", ""]
        if request.param == "postgresql":
            patch.setenv("PATH", str(postgres_binaries().postgres.parent), prepend=":")
            server = request.getfixturevalue("postgres_url")
            urls = [new_database(server, name) for name in ("backup_from", "backup_to")]
        here, there = (Place(folder / name, url) for name, url in zip(("from", "to"), urls, strict=True))
        return travelled(here, there, folder / "llmops.backup")


def travelled(here: Place, there: Place, file: Path) -> RoundTrip:
    here.folder.mkdir()
    database_of_somebody_else(there.folder / "data" / "llmops.sqlite3")
    with SimulatorThread() as simulator:
        sent = backup_of_a_busy_gateway(here, simulator, file)
        with unconfigured_fleet(there.folder, database_url=there.database_url) as running:
            said = running.manage("restore", str(file))
            restored, _ = settled(there)
            running.start(1)
            answers = asyncio.run(send_all(running.port, KEY, requests(10), clients=2))
    return RoundTrip(sent, said, restored, answers, here, there, file)


def database_of_somebody_else(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (one INTEGER)")


def test_a_backup_made_under_load_has_some_of_the_load(round_trip: RoundTrip) -> None:
    assert 0 < round_trip.restored < round_trip.sent


def test_the_books_of_what_was_restored_agree(round_trip: RoundTrip) -> None:
    assert "The books agree, and every stored secret can be read." in round_trip.said


def test_a_gateway_serves_from_what_was_restored_and_books_it(round_trip: RoundTrip) -> None:
    assert set(round_trip.answers.values()) == {200}
    assert settled(round_trip.there) == (round_trip.restored + len(round_trip.answers), [])


def test_the_gateway_that_was_backed_up_lost_nothing(round_trip: RoundTrip) -> None:
    assert settled(round_trip.here) == (round_trip.sent, [])


def test_only_its_owner_can_read_a_backup(round_trip: RoundTrip) -> None:
    assert stat.S_IMODE(round_trip.file.stat().st_mode) == 0o600


def test_a_sqlite_database_that_is_replaced_is_kept(round_trip: RoundTrip) -> None:
    kept = "" if round_trip.there.database_url else ".before-restore-1"
    with closing(sqlite3.connect(round_trip.there.folder / "data" / f"llmops.sqlite3{kept}")) as old:
        assert old.execute("SELECT count(*) FROM theirs").fetchone() == (0,)


def test_what_an_earlier_restore_kept_is_neither_overwritten_nor_mixed_with_what_is_kept_now(tmp_path: Path) -> None:
    database = tmp_path / "llmops.sqlite3"
    database.write_bytes(b"the second one")
    (tmp_path / "llmops.sqlite3.before-restore-1-wal").write_bytes(b"of the first one")
    put_aside(database)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "llmops.sqlite3.before-restore-1-wal": b"of the first one",
        "llmops.sqlite3.before-restore-2": b"the second one",
    }


def test_secrets_that_the_encryption_keys_do_not_open_are_named(db: None, settings: Any) -> None:
    provider = add_provider("openai", api_key_env="")
    provider.set_api_key("sk-secret")
    provider.save()
    assert unreadable_secrets() == []
    settings.LLMOPS_ENCRYPTION_KEYS = [Fernet.generate_key()]
    assert unreadable_secrets() == ["provider openai"]


def test_a_backup_of_a_newer_version_is_told_with_what_is_unknown_of_it(db: None) -> None:
    assert unknown_migrations() == []
    MigrationRecorder(connection).record_applied("gateway", "9999_of_a_later_version")
    assert unknown_migrations() == ["9999_of_a_later_version"]


def test_a_database_with_requests_is_replaced_only_when_told_so(db: None, tmp_path: Path) -> None:
    add_completion("r1")
    file = tmp_path / "a.backup"
    file.touch()
    with pytest.raises(RestoreFailed, match="--replace gives them up"):
        database_restore(file, replace=False)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "There is no file"), (b"not a database at all" * 99, "is no SQLite database"), (b"", "is no backup")],
)
def test_what_is_no_backup_is_refused(tmp_path: Path, db: None, content: bytes | None, said: str) -> None:
    file = tmp_path / "some.file"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RestoreFailed, match=said):
        database_restore(file, replace=False)
