"""What a drill leaves in a process's memory is dropped once it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from gateway.engine.completion import Engine
from gateway.engine.drill import Drill, lane_parts


class Forgetful(Protocol):
    def forget(self, is_over: Callable[[str], bool]) -> None: ...


def drill_traces_forget(engine: Engine, breakers: Forgetful, drills: Iterable[Drill]) -> None:
    """Drop breakers, gates and retry meters of every drill but `drills`; a gate stays while somebody is in it."""
    running = {drill.id for drill in drills}

    def is_over(name: str) -> bool:
        drill_id = lane_parts(name)[1]
        return drill_id is not None and drill_id not in running

    breakers.forget(is_over)
    for name in [name for name in engine.meters if is_over(name)]:
        del engine.meters[name]
    for name in [name for name, gate in engine.gates.items() if is_over(name) and not gate.in_flight]:
        del engine.gates[name]
