"""Two supervisors never share a data directory, and a dead one leaves it free."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.supervisor.only_one import AlreadyUp, only_one

HOLDER = """
import sys, time
from pathlib import Path
from gateway.supervisor.only_one import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_one_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(AlreadyUp) as caught, only_one(tmp_path):
        pass
    assert str(caught.value) == (
        f"{tmp_path} is in use: `manage.py up` is already running there (process {os.getpid()}). Stop it first, or "
        "give this one a data directory of its own with LLMOPS_DATA_DIR."
    )


def test_an_ended_one_leaves_it_free(tmp_path: Path) -> None:
    with only_one(tmp_path / "new"):
        pass
    with only_one(tmp_path / "new"):
        pass


def test_a_killed_one_leaves_it_free(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AlreadyUp, match=f"process {holder.pid}"), only_one(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with only_one(tmp_path):
        pass
