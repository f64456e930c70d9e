"""A worker that does nothing but take batches on, in a process of its own: `python -m tests.batch_worker`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.gateway_process import ROOT, environment

PAUSE_SECONDS = 0.05


def start(data_dir: Path, log_path: Path, **variables: str) -> subprocess.Popen[bytes]:
    with log_path.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.batch_worker"],
            cwd=ROOT,
            env={**environment(data_dir), **variables},
            stdout=log,
            stderr=log,
        )


@contextmanager
def batch_worker(data_dir: Path, log_path: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    worker = start(data_dir, log_path, **variables)
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait()


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops.settings")
    django.setup()
    from django.db import connection

    from gateway.services.batch_sweep import batches_advance
    from gateway.tasks import orphans_sweep

    while True:
        batches_advance()
        orphans_sweep()
        connection.close()
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
