"""Both providers' wire formats on one local server, with faults on demand, a request log and a bill.

Used by the demo, the tests, the benchmark and the drills. Nothing in here imports Django;
``docs/simulator.md`` is the manual.
"""

from gateway.simulator.bill import Bill, BillLine
from gateway.simulator.faults import Fault, FaultBook, FaultKind
from gateway.simulator.log import LogRow, RequestLog
from gateway.simulator.server import Simulator
from gateway.simulator.thread import SimulatorThread

__all__ = [
    "Bill",
    "BillLine",
    "Fault",
    "FaultBook",
    "FaultKind",
    "LogRow",
    "RequestLog",
    "Simulator",
    "SimulatorThread",
]
