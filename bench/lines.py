"""The lines that this gateway's figures are held against: what they must not exceed, and what is wanted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """Both bounds in the figure's own unit; `wants` is None where only the one is set."""

    what: str
    unit: str
    must: float
    wants: float | None = None

    def verdict(self, figure: float | None) -> str:
        if figure is None:
            return "not measured"
        if figure > self.must:
            return "FAIL"
        return "pass" if self.wants is None or figure > self.wants else "pass, as wanted"


CPU = {
    "a": Line("CPU, plain", "ms", 1.5, 0.6),
    "b": Line("CPU, stream sent at once", "ms", 4.5, 2.0),
    "bp": Line("CPU, paced stream", "ms", 14, 8.8),
    "c": Line("CPU, translated, plain", "ms", 1.7, 0.8),
    "cs": Line("CPU, translated, stream", "ms", 6, 2.9),
    "d": Line("CPU, cached, plain", "ms", 1.0, 0.5),
    "f": Line("CPU, fallback", "ms", 3.0, 1.2),
}
ADDED_LATENCY = Line("added latency, median, one at a time", "ms", 2, 1)
IDLE_MEMORY = Line("memory, idle", "MB", 140)
HELD_MEMORY = Line("memory, 500 open streams", "MB", 180)
