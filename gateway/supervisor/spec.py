"""What a part of the installation is: how it is started, known to be ready, and stopped."""

from __future__ import annotations

import enum
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_APP = "llmops.asgi:application"


class Role(enum.Enum):
    GATEWAY = "gateway"  # serves on the shared socket; replaced on SIGHUP; drained first
    BACKGROUND = "background"  # may be away for a while without anybody noticing at once
    UPSTREAM = "upstream"  # the simulator, a private Redis: needed until the last gateway worker has drained


@dataclass(frozen=True, slots=True)
class Part:
    """One child process.

    `ready_port`, `ready_socket`: a loopback port, or a Unix socket, it listens on once it is ready; without either it
    says so itself (`signs.tell_ready`).
    """

    name: str
    role: Role
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    listener_fd: int | None = None
    ready_port: int | None = None
    ready_socket: Path | None = None
    stop_timeout_seconds: float = 10.0

    @property
    def death_signal(self) -> signal.Signals:
        """What the kernel sends it when the supervisor is gone: a gateway worker may still answer what it accepted."""
        return signal.SIGTERM if self.role is Role.GATEWAY else signal.SIGKILL
