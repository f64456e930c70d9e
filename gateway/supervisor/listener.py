"""The gateway's listening socket. The supervisor owns it, so that workers come and go while it stays open."""

from __future__ import annotations

import errno
import socket

BACKLOG = 2048  # connections the kernel holds while no worker is free to accept them


class PortUnavailable(Exception):
    """The address can't be listened on; the text is a sentence for whoever started us."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, inheritable by file descriptor; `port` 0 takes any free one."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise PortUnavailable(f"--host {host}: {error.strerror}.") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise PortUnavailable(_sentence(host, port, error)) from None
    listener.setblocking(False)
    return listener


def check_free(host: str, port: int, what: str) -> None:
    """Raises PortUnavailable when a part that binds for itself could not."""
    try:
        listen(host, port).close()
    except PortUnavailable as error:
        raise PortUnavailable(f"{what}: {error}") from None


def local_address(listener: socket.socket) -> tuple[str, int]:
    """Where a program on this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104  a look-up, not a bind


def _sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken: stop the program that uses it, or choose another port."
    if error.errno == errno.EACCES:
        return f"Port {port} on {host} needs more rights than this account has: choose one above 1023."
    return f"Can't listen on {host} port {port}: {error.strerror}."
