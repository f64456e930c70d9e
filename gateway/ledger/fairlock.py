"""A lock between processes that is handed on in turn."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self


class FairFileLock:
    """Two advisory file locks as a turnstile: who waits for the lock holds the gate, and who just released the lock
    must pass the gate to get it again. So a busy process can't starve the others. The kernel frees both when a holder
    dies.
    """

    def __init__(self, path: Path) -> None:
        self._lock = _opened(path)
        self._gate = _opened(path.with_name(f"{path.name}.gate"))

    def held(self) -> Self:
        """To be used in a `with`, one thread at a time: waits for the lock, as long as it takes."""
        return self

    def __enter__(self) -> None:
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._lock)
        os.close(self._gate)


@contextmanager
def in_turn(lock_path: Path | None) -> Iterator[FairFileLock | None]:
    """The lock of that file, or None without a path; closed at the end."""
    lock = None if lock_path is None else FairFileLock(lock_path)
    try:
        yield lock
    finally:
        if lock is not None:
            lock.close()


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
