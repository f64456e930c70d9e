"""A program of ours with everything it starts; its output is a file."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_SECONDS = 60.0
POLL_SECONDS = 0.05
TAIL_CHARACTERS = 2000


class Program:
    """A process group of its own, so that a Ctrl-C in our terminal reaches it only through us."""

    def __init__(self, command: Sequence[str], output: Path, *, folder: Path, environment: Mapping[str, str]) -> None:
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=file, stderr=file, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def printed(self) -> str:
        return self._output.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, patience_seconds: float, times: int = 1) -> None:
        """Raises RuntimeError with its last output when it ends, or takes longer, before it has said so."""
        end = time.monotonic() + patience_seconds
        while self.printed().count(text) < times:
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{text!r} was not said:\n{self.printed()[-TAIL_CHARACTERS:]}")
            time.sleep(POLL_SECONDS)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Sends the signal to the whole group, as a terminal does, and waits for the end; kills what hangs."""
        if self._process.poll() is not None:
            return
        os.killpg(self.pid, number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
