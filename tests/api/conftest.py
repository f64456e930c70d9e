"""Callers of the operators' API, and a process that serves."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from gateway.ledger.connections import ledger_connections, ledger_lock_path
from gateway.ledger.writer import LedgerWriter
from gateway.models import ApiKey
from gateway.services import runtime as runtime_module
from gateway.services.keys import key_hash
from gateway.services.runtime import Runtime
from gateway.services.snapshot_holder import SnapshotHolder

OPERATOR_KEY = "sk-llmops-operator"


def add_key(name: str, text: str, **values: Any) -> ApiKey:
    return ApiKey.objects.create(name=name, hash=key_hash(text), **values)


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture
def operator_key(db: None) -> str:
    add_key("ops", OPERATOR_KEY, role="operator")
    return OPERATOR_KEY


@pytest.fixture
def api(operator_key: str) -> Client:
    """A program with an operator's key."""
    return Client(headers=bearer(operator_key))


@pytest.fixture
def serving(db: None, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """This process as one that serves, its configuration read; its ledger's writer takes news but writes nothing."""
    runtime = Runtime(SnapshotHolder(), LedgerWriter(ledger_connections(), lock_path=ledger_lock_path()))
    runtime.holder.refresh()
    monkeypatch.setattr(runtime_module, "_running", runtime)
    return runtime
