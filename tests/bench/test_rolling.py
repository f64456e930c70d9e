"""The short form of `python -m bench.rolling`: processes are replaced under load, and no client notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.rolling import Servers, rolling

pytestmark = pytest.mark.redis


def test_two_processes_are_replaced_while_sdk_clients_that_never_retry_get_every_answer(tmp_path: Path) -> None:
    seen, booked, faults = rolling(tmp_path, Servers(), workers=2, clients=8, restarts=1)
    assert faults == []
    assert booked == seen.whole["plain"] + seen.whole["streamed"] == seen.sent
    assert seen.whole["streamed"] > 0
