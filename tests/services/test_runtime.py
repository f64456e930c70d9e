"""What one gateway process says of itself, and what it writes of its breakers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gateway.services.runtime import Runtime


def test_what_is_missing_repeats_nothing_of_the_databases_own_words() -> None:
    """Anybody may read it, and they may name hosts, users and databases."""
    holder: Any = SimpleNamespace(loaded=True, current=SimpleNamespace(routes={"default": object()}))
    ledger: Any = SimpleNamespace(healthy=False, away_reason='connection to "10.0.0.7", user "llmops" failed')
    (missing,) = Runtime(holder, ledger).missing()
    assert missing.startswith("the ledger cannot write")
    assert "10.0.0.7" not in missing
