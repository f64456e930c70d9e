"""Each process counts in a file of its own."""

from __future__ import annotations

import os

from django.conf import settings

from gateway.metrics import own_time_counted


def test_a_forked_process_counts_in_a_file_of_its_own() -> None:
    own_time_counted(0.0)
    child = os.fork()
    if not child:
        try:
            own_time_counted(0.0)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    files = [settings.LLMOPS_METRICS_FOLDER / f"histogram_{pid}.db" for pid in (os.getpid(), child)]
    assert [file.is_file() for file in files] == [True, True]
    files[1].unlink()
