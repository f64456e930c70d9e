"""Other gateways, installed from their packages and set up for the same scenarios (docs/performance.md)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.peers import litellm, portkey
from bench.peers.install import NotInstalled
from bench.systems import System

FOLDER = Path(__file__).resolve().parents[2] / "var" / "peers"  # kept, so that the next run installs nothing


@contextmanager
def peers(simulator_url: str, folder: Path) -> Iterator[tuple[list[System], list[str]]]:
    """Those that could be installed and started, and why the others could not."""
    systems: list[System] = []
    absent: list[str] = []
    with ExitStack() as stack:
        for peer in (litellm, portkey):
            sys.stderr.write(f"{peer.NAME}: installing into {FOLDER} unless it is there …\n")
            try:
                installed = peer.install(FOLDER)
                systems.append(stack.enter_context(peer.started(installed, simulator_url, folder)))
            except (NotInstalled, RuntimeError) as error:
                absent.append(f"{peer.NAME} is left out: {error}")
        yield systems, absent
