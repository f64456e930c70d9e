"""One `up` per data directory: two would run two schedulers and prepare one database twice."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_NAME = "up.lock"


class AlreadyUp(Exception):
    """Another one is running; the text says where and what to do."""


@contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Hold the data directory. The kernel lets go of it when the holder dies; the file itself stays and means nothing.

    Raises AlreadyUp.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = os.open(data_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyUp(_sentence(data_dir, os.pread(lock, 20, 0).decode("ascii", "replace").strip())) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)


def _sentence(data_dir: Path, pid: str) -> str:
    who = f"process {pid}" if pid.isdecimal() else "another process"
    return (
        f"{data_dir} is in use: `manage.py up` is already running there ({who}). Stop it first, or give this one a "
        "data directory of its own with LLMOPS_DATA_DIR."
    )
