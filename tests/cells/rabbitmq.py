"""A RabbitMQ as Celery's broker: the one that `RABBITMQ_URL` names, else one of our own where the machine has it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import NoServer, free_port

RABBITMQ_URL = os.environ.get("RABBITMQ_URL", "")
START_TIMEOUT_SECONDS = 60.0
NOT_RUN = "not run: RabbitMQ (no rabbitmq-server on this machine, and RABBITMQ_URL names none)"


def rabbitmq_is_here() -> bool:
    return bool(RABBITMQ_URL or _binary())


def _binary() -> str | None:
    """Debian's own is behind a wrapper that changes to an account which may not write where tests do."""
    return shutil.which("rabbitmq-server", path="/usr/lib/rabbitmq/bin") or shutil.which("rabbitmq-server")


@contextmanager
def rabbitmq_server(folder: Path) -> Iterator[str]:
    """Its address. A server of our own keeps everything in `folder`, takes ports of its own, and is stopped at the end
    with its name service (epmd), which it starts and would leave behind."""
    if RABBITMQ_URL:
        yield RABBITMQ_URL
        return
    binary, port, path = _binary(), free_port(), folder / "rabbitmq.log"
    if binary is None:
        raise NoServer(NOT_RUN)
    variables = {**os.environ, **_variables(folder, port)}
    with path.open("wb") as log:
        # The server is a child of the script that starts it: a session of their own can be ended as one.
        child = subprocess.Popen([binary], env=variables, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_until_it_speaks(port, child, path)
        yield f"amqp://guest:guest@127.0.0.1:{port}//"
    finally:
        os.killpg(child.pid, signal.SIGTERM)
        child.wait(START_TIMEOUT_SECONDS)
        subprocess.run(["epmd", "-kill"], env=variables, capture_output=True, check=False)  # by its port, ours alone


def _variables(folder: Path, port: int) -> dict[str, str]:
    return {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"llmops{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "ERL_EPMD_PORT": str(free_port()),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "rabbitmq-logs"),
        "RABBITMQ_PID_FILE": str(folder / "rabbitmq.pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "no-plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "no-configuration"),
    }


def _wait_until_it_speaks(port: int, child: subprocess.Popen[bytes], log: Path) -> None:
    """Wrong first words are answered with the protocol's own (AMQP 0-9-1, section 4.2.2)."""
    end = time.monotonic() + START_TIMEOUT_SECONDS
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                connection.sendall(b"HELLO!!!")
                if connection.recv(4) == b"AMQP":
                    return
        except OSError:
            pass
        if child.poll() is not None or time.monotonic() > end:
            raise NoServer(f"RabbitMQ did not start: {log.read_text(errors='replace').strip()[-500:]}")
        time.sleep(0.1)
