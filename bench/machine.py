"""What the kernel knows: CPU time and memory of a process tree, and which machine this is."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of the process and of all that descend from it, ended children included."""
    return sum(_own_cpu_seconds(member) for member in _tree(pid))


def memory_mb(pid: int) -> float:
    """Resident memory of the process tree."""
    return sum(_status_kb(member, "VmRSS") for member in _tree(pid)) / 1024


def open_files(pid: int) -> int:
    """File descriptors of the process tree."""
    return sum(len(list(Path(f"/proc/{member}/fd").iterdir())) for member in _tree(pid))


def threads(pid: int) -> int:
    return sum(len(list(Path(f"/proc/{member}/task").iterdir())) for member in _tree(pid))


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def machine_text() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} x {model}, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def _tree(pid: int) -> list[int]:
    members = [pid]
    for member in members:
        for task in Path(f"/proc/{member}/task").glob("*/children"):
            members.extend(int(child) for child in task.read_text().split())
    return members


def _own_cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / _TICKS_PER_SECOND  # utime, stime, cutime, cstime


def _status_kb(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0
