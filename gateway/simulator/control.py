"""The control endpoint: faults, log and bill over HTTP, JSON both ways. Its calls are not in the log."""

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from gateway.simulator.faults import Fault
from gateway.simulator.http import Request

if TYPE_CHECKING:
    from gateway.simulator.server import Simulator


class _Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Control:
    """``/control/…`` of one simulator."""

    def __init__(self, simulator: "Simulator") -> None:
        self._simulator = simulator
        self._calls: dict[tuple[str, str], Callable[[Request], Any]] = {
            ("GET", "health"): lambda _: {"status": "ok"},
            ("GET", "faults"): lambda _: {"faults": simulator.faults.list()},
            ("POST", "faults"): self._add,
            ("DELETE", "faults"): lambda _: _done(simulator.faults.clear),
            ("GET", "log"): self._log,
            ("DELETE", "log"): lambda _: _done(simulator.log.clear),
            ("GET", "bill"): lambda _: {"lines": [asdict(line) for line in simulator.bill().lines()]},
            ("POST", "reset"): lambda _: _done(simulator.reset),
        }

    def handle(self, request: Request) -> tuple[int, bytes]:
        """Status and JSON body."""
        name = request.path.removeprefix("/control/").rstrip("/")
        try:
            if request.method == "DELETE" and name.startswith("faults/"):
                return 200, orjson.dumps(self._remove(name.removeprefix("faults/")))
            call = self._calls.get((request.method, name))
            if call is None:
                known = ", ".join(f"{method} /control/{path}" for method, path in self._calls)
                raise _Refusal(404, f"no {request.method} {request.path} here; there are {known}")
            return 200, orjson.dumps(call(request))
        except _Refusal as refusal:
            return refusal.status, orjson.dumps({"error": str(refusal)})

    def _add(self, request: Request) -> dict[str, Any]:
        try:
            body = orjson.loads(request.body)
            if not isinstance(body, dict):
                raise ValueError("a fault is a JSON object")
            return {"id": self._simulator.faults.add(Fault.from_dict(body))}
        except (ValueError, TypeError) as error:
            raise _Refusal(400, str(error)) from None

    def _remove(self, fault_id: str) -> dict[str, Any]:
        if not fault_id.isdecimal() or not self._simulator.faults.remove(int(fault_id)):
            raise _Refusal(404, f"no fault {fault_id} is in force")
        return {"status": "ok"}

    def _log(self, request: Request) -> dict[str, Any]:
        asked = {name: values[-1] for name, values in parse_qs(request.query).items()}
        since = asked.get("since", "0")
        if not since.isdecimal():
            raise _Refusal(400, f"since must be a request's number, not {since!r}")
        log = self._simulator.log
        rows = log.rows(provider=asked.get("provider"), since=int(since))
        return {
            "rows": [row.as_dict() for row in rows],
            "in_flight": log.in_flight,
            "max_in_flight": log.max_in_flight,
        }


def _done(act: Callable[[], None]) -> dict[str, str]:
    act()
    return {"status": "ok"}
