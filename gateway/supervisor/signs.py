"""What the supervisor and its children tell each other over two pipes: "go ahead" and "I am ready"."""

from __future__ import annotations

import contextlib
import os

READY_FD = "LLMOPS_READY_FD"  # the child writes one byte once it serves
GO_FD = "LLMOPS_GO_FD"  # the child waits for one byte before it serves


def tell_ready() -> None:
    """Once, from a child: it does its work from now on. Does nothing where no supervisor listens."""
    if descriptor := os.environ.pop(READY_FD, None):
        with contextlib.suppress(OSError):  # the supervisor has gone; the kernel ends us, too
            os.write(int(descriptor), b"1")
            os.close(int(descriptor))


def wait_for_go() -> bool:
    """Blocks until the supervisor says go; False if it has gone instead. At once where there is no supervisor."""
    descriptor = os.environ.pop(GO_FD, None)
    if descriptor is None:
        return True
    try:
        return os.read(int(descriptor), 1) == b"1"
    finally:
        os.close(int(descriptor))
