"""The supervisor around the miniature gateway, as a program: `python -m tests.supervisor.run PORT [WORKERS]`."""

from __future__ import annotations

import asyncio
import sys

from gateway.supervisor.listener import PortUnavailable, listen
from gateway.supervisor.plan import gateway_part
from gateway.supervisor.supervise import Supervisor, say


def main() -> int:
    port, workers = int(sys.argv[1]), int(sys.argv[2])
    try:
        listener = listen("127.0.0.1", port)
    except PortUnavailable as error:
        say(str(error))
        return 1
    parts = [
        gateway_part(number, listener.fileno(), app="tests.supervisor.app:application", drain_seconds=5)
        for number in range(1, workers + 1)
    ]
    supervisor = Supervisor(
        parts, listener, on_ready=lambda: say("READY"), restart_seconds=0.01, double_signal_seconds=0
    )
    return asyncio.run(supervisor.run())


if __name__ == "__main__":
    raise SystemExit(main())
