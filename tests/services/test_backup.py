"""A backup made while a gateway writes is restored elsewhere, and the books of the restored one agree."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet

from bench.audit import completions, sums_disagreeing
from bench.books import KEY, document
from bench.clients import Request, chat, send_all
from bench.fleet import Fleet, fleet, unconfigured_fleet
from gateway.ledger.connections import ledger_connections, ledger_lock_path
from gateway.ledger.sweep import orphans_settle
from gateway.services.backup import RestoreFailed, database_restore
from gateway.simulator import SimulatorThread
from gateway.simulator.server import Simulator
from llmops.env import database_from_url
from tests.selectors.rows import add_completion
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


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def places(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Place, Place]:
    """Where the gateway runs, and where its backup is restored; both have the same encryption key."""
    monkeypatch.setenv("LLMOPS_ENCRYPTION_KEYS", Fernet.generate_key().decode())
    urls = ["", ""]
    if request.param == "postgresql":
        monkeypatch.setenv("PATH", str(postgres_binaries().postgres.parent), prepend=":")
        server = request.getfixturevalue("postgres_url")
        urls = [new_database(server, name) for name in ("backup_from", "backup_to")]
    here, there = (Place(tmp_path / name, url) for name, url in zip(("from", "to"), urls, strict=True))
    for place in (here, there):
        place.folder.mkdir()
    return here, there


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


def test_a_backup_made_under_load_is_restored_elsewhere_with_balanced_books_and_serves(
    places: tuple[Place, Place], tmp_path: Path
) -> None:
    here, there = places
    file = tmp_path / "llmops.backup"
    with SimulatorThread() as simulator:
        sent = backup_of_a_busy_gateway(here, simulator, file)
        with unconfigured_fleet(there.folder, database_url=there.database_url) as restored:
            said = restored.manage("restore", str(file))
            count, faults = settled(there)
            restored.start(1)
            answers = asyncio.run(send_all(restored.port, KEY, requests(10), clients=2))
    assert "The books agree, and every stored secret can be read." in said
    assert (0 < count < sent, faults) == (True, [])
    assert (set(answers.values()), settled(there)) == ({200}, (count + 10, []))
    assert settled(here) == (sent, [])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fleet, str]:
    """An installation with a configuration that nobody runs, and its backup."""
    folder = tmp_path_factory.mktemp("backup")
    with unconfigured_fleet(folder) as made:
        made.environment["LLMOPS_ENCRYPTION_KEYS"] = Fernet.generate_key().decode()
        made.configure(document("http://127.0.0.1:9", []))
        made.manage("backup", str(folder / "a.backup"))
        return made, str(folder / "a.backup")


def test_a_restore_without_the_encryption_key_says_whose_secrets_are_lost(
    backed_up: tuple[Fleet, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    installation, file = backed_up
    monkeypatch.setitem(installation.environment, "LLMOPS_ENCRYPTION_KEYS", Fernet.generate_key().decode())
    with pytest.raises(RuntimeError, match="The secret of provider anthropic can't be read"):
        installation.manage("restore", file)


def test_a_restore_keeps_the_sqlite_database_it_replaces(backed_up: tuple[Fleet, str]) -> None:
    installation, file = backed_up
    installation.manage("restore", file)
    with closing(sqlite3.connect(installation.data_dir / "llmops.sqlite3.before-restore")) as old:
        assert old.execute("SELECT count(*) FROM llmops_provider").fetchone() == (2,)


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
