"""Celery's broker: the one named, else Redis, else a folder that never fills up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmops import filesystem_broker
from llmops.broker import FILESYSTEM, broker_folder, broker_options, broker_url, empty_broker_folder


@pytest.mark.parametrize(
    ("configured", "redis_url", "expected"),
    [
        ("amqp://host//", "redis://other/0", "amqp://host//"),
        ("", "redis://host/0", "redis://host/0"),
        ("", "unix:///run/redis.sock", "redis+socket:///run/redis.sock"),
        ("", "", FILESYSTEM),
    ],
)
def test_broker_is_the_one_named_else_redis_else_a_folder(configured: str, redis_url: str, expected: str) -> None:
    assert broker_url(configured, redis_url) == expected


def test_old_nudges_are_forgotten_at_the_start(tmp_path: Path) -> None:
    empty_broker_folder(tmp_path)
    (broker_folder(tmp_path) / "1_x.celery.msg").touch()
    empty_broker_folder(tmp_path)
    assert list(broker_folder(tmp_path).glob("*.msg")) == []


@pytest.mark.parametrize("url", ["redis://host/0", "rediss://host/0", "redis+socket:///run/redis.sock"])
def test_redis_that_hangs_holds_nobody_for_long(url: str, tmp_path: Path) -> None:
    options = broker_options(url, tmp_path)
    assert options["socket_timeout"] <= 10
    assert options["socket_connect_timeout"] <= 10


def test_a_message_is_never_seen_half_written(tmp_path: Path) -> None:
    """Whatever the folder shows under a message's name at any moment is a whole message."""
    from kombu import Connection

    filesystem_broker.use()
    folder = {"data_folder_in": str(tmp_path), "data_folder_out": str(tmp_path), "control_folder": str(tmp_path / "c")}
    with Connection("filesystem://localhost/", transport_options=folder) as connection:
        queue = connection.SimpleQueue("nudges")
        queue.put({"task": "sweep"})
        (message,) = tmp_path.glob("*.msg")
        assert json.loads(message.read_text())["properties"]
        assert type(connection.transport) is filesystem_broker.Transport
        assert queue.get(timeout=1).payload == {"task": "sweep"}
        queue.close()
    assert not list(tmp_path.glob("*.draft"))


def test_whoever_comes_first_makes_the_folders(tmp_path: Path) -> None:
    from kombu import Connection

    filesystem_broker.use()
    options = broker_options(FILESYSTEM, tmp_path / "fresh")
    with Connection(FILESYSTEM, transport_options=options) as connection:
        queue = connection.SimpleQueue("first")
        queue.put({"task": "sweep"})
        assert queue.get(timeout=5).payload == {"task": "sweep"}
        queue.close()
