"""The lock by which processes on one SQLite file take turns."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

from gateway.ledger.fairlock import FairFileLock


def test_only_one_holds_the_lock(tmp_path: Path) -> None:
    first, second = FairFileLock(tmp_path / "lock"), FairFileLock(tmp_path / "lock")
    order: list[str] = []

    def wait() -> None:
        with second.held():
            order.append("second")

    with first.held():
        waiter = threading.Thread(target=wait)
        waiter.start()
        order.append("first")
    waiter.join()

    assert order == ["first", "second"]
    first.close()
    second.close()


def gate_is_free(path: Path) -> bool:
    with path.open() as gate:
        try:
            fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_who_waits_comes_before_who_just_had_it(tmp_path: Path) -> None:
    busy, patient = FairFileLock(tmp_path / "lock"), FairFileLock(tmp_path / "lock")
    order: list[str] = []

    def wait() -> None:
        with patient.held():
            order.append("patient")

    waiter = threading.Thread(target=wait)
    with busy.held():
        waiter.start()
        while gate_is_free(tmp_path / "lock.gate"):
            pass
    with busy.held():
        order.append("busy")
    waiter.join()

    assert order == ["patient", "busy"]
    busy.close()
    patient.close()
