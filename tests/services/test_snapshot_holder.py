"""Every process follows the configuration's version."""

from __future__ import annotations

import dataclasses
import logging
import threading
from typing import Any

import pytest

from gateway.services.configuration import configuration_changed
from gateway.services.snapshot import Snapshot
from gateway.services.snapshot_holder import ConfigurationNotLoaded, SnapshotHolder
from gateway.services.snapshot_load import snapshot_load


class Source:
    """A configuration whose version the test moves; `error` is raised in place of loading."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.error: Exception | None = None
        self.loads = 0

    def move(self) -> None:
        self.snapshot = dataclasses.replace(self.snapshot, version=self.snapshot.version + 1)

    def version(self) -> int:
        return self.snapshot.version

    def load(self) -> Snapshot:
        self.loads += 1
        if self.error:
            raise self.error
        return self.snapshot


@pytest.fixture
def source(db: None) -> Source:
    return Source(snapshot_load())


@pytest.fixture
def holder(source: Source, monkeypatch: pytest.MonkeyPatch) -> SnapshotHolder:
    # The holder drops broken connections; in a test there is only the test's own.
    monkeypatch.setattr("gateway.services.snapshot_holder.connections.close_all", lambda: None)
    return SnapshotHolder(load=source.load, version=source.version, poll_seconds=0.001)


def test_before_the_first_load_there_is_nothing_to_serve(holder: SnapshotHolder) -> None:
    with pytest.raises(ConfigurationNotLoaded):
        _ = holder.current


def test_a_moved_version_is_loaded(holder: SnapshotHolder, source: Source) -> None:
    holder.poll()
    source.move()
    holder.poll()
    assert holder.current is source.snapshot


def test_an_unmoved_version_is_not_loaded_again(holder: SnapshotHolder, source: Source) -> None:
    holder.poll()
    holder.poll()
    assert source.loads == 1


def test_the_old_snapshot_stays_while_the_new_one_cannot_be_built(
    holder: SnapshotHolder, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    holder.poll()
    old = holder.current
    source.move()
    source.error = ValueError("broken")
    with caplog.at_level(logging.ERROR, logger="gateway"):
        holder.poll()
        holder.poll()
    assert holder.current is old
    assert [record.levelname for record in caplog.records].count("ERROR") == 1


def test_an_outage_is_told_at_once_and_then_at_growing_distances(
    source: Source, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However its errors are worded."""
    monkeypatch.setattr("gateway.services.snapshot_holder.connections.close_all", lambda: None)
    seconds = iter(range(100))
    holder = SnapshotHolder(load=source.load, version=source.version, monotonic=lambda: float(next(seconds)))
    with caplog.at_level(logging.ERROR, logger="gateway"):
        for second in range(100):
            source.error = OSError(f"connection {second} refused")
            holder.poll()
    told = [record.getMessage().split("connection ")[1] for record in caplog.records]
    assert told == ["0 refused", "10 refused", "30 refused", "70 refused"]


def test_a_new_outage_is_told_at_once(holder: SnapshotHolder, source: Source, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="gateway"):
        for error in (OSError("first"), None, ValueError("second")):
            source.error = error
            source.move()
            holder.poll()
    assert [record.levelname for record in caplog.records].count("ERROR") == 2


def test_it_recovers_once_the_configuration_can_be_read(holder: SnapshotHolder, source: Source) -> None:
    source.error = OSError("database away")
    holder.poll()
    source.error = None
    holder.poll()
    assert holder.current is source.snapshot


def test_its_thread_follows_and_ends(holder: SnapshotHolder, source: Source) -> None:
    before = threading.active_count()
    holder.start()
    assert holder.wait(5)
    holder.stop()
    assert threading.active_count() == before
    assert holder.current is source.snapshot


@pytest.mark.django_db
def test_every_change_moves_the_version_by_one_update(django_assert_num_queries: Any) -> None:
    configuration_changed()
    with django_assert_num_queries(1):
        configuration_changed()
    assert snapshot_load().version == 2


def test_an_older_snapshot_never_replaces_a_newer_one(holder: SnapshotHolder, source: Source) -> None:
    old = source.snapshot
    source.move()
    newer = holder.refresh()
    source.snapshot = old
    holder.poll()
    assert holder.refresh() is newer


def test_loads_follow_one_another_so_that_the_newest_stays(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow load that began before a change must not end after the load of the change, and undo it."""
    monkeypatch.setattr("gateway.services.snapshot_holder.connections.close_all", lambda: None)
    began, go_on = threading.Event(), threading.Event()
    under_way: list[int] = []
    most: list[int] = []

    def load() -> Snapshot:
        under_way.append(1)
        most.append(len(under_way))
        began.set()
        go_on.wait(10)
        under_way.pop()
        return source.snapshot

    holder = SnapshotHolder(load=load, version=source.version)
    threads = [threading.Thread(target=holder.poll), threading.Thread(target=holder.refresh)]
    for thread in threads:
        thread.start()
    began.wait(10)
    source.move()
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert (max(most), holder.current.version) == (1, source.snapshot.version)
