"""Other gateways, installed from their packages and set up for the same scenarios (docs/performance.md)."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.peers import litellm, portkey
from bench.peers.install import NotInstalled
from bench.systems import System

FOLDER = Path(__file__).resolve().parents[2] / "var" / "peers"  # kept, so that the next run installs nothing


class Start(Protocol):
    def __call__(self, installed: Path, simulator_url: str, folder: Path) -> AbstractContextManager[System]: ...


class Install(Protocol):
    def __call__(self, folder: Path) -> Path: ...


@dataclass(frozen=True, slots=True)
class Peer:
    """`install` raises NotInstalled, `start` RuntimeError when the server doesn't get ready."""

    name: str
    install: Install
    start: Start


PEERS = (
    Peer(litellm.NAME, litellm.install, litellm.started),
    Peer(portkey.NAME, portkey.install, portkey.started),
)


@contextmanager
def started(
    simulator_url: str, folder: Path, among: Sequence[Peer] = PEERS
) -> Iterator[tuple[list[System], list[str]]]:
    """Those that could be installed and started, and why the others could not."""
    systems: list[System] = []
    absent: list[str] = []
    with ExitStack() as stack:
        for peer in among:
            sys.stderr.write(f"{peer.name}: installing into {FOLDER} unless it is there (minutes the first time) …\n")
            try:
                installed = peer.install(FOLDER)
                systems.append(stack.enter_context(peer.start(installed, simulator_url, folder)))
            except (NotInstalled, RuntimeError) as error:
                absent.append(f"{peer.name} is left out: {error}.")
        yield systems, absent
