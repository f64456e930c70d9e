"""docs/operators-api.md against the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.api.operators import api
from gateway.api.operators_errors import MethodNotAllowed, NotFound, NotServingHere
from gateway.engine.errors import (
    GatewayError,
    InvalidRequest,
    LedgerUnavailable,
    NotAllowed,
    NotAuthenticated,
    RequestTooLarge,
)
from gateway.selectors.spend_report import SpendGroup

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "operators-api.md").read_text(encoding="utf-8")
ERRORS = (
    GatewayError,
    InvalidRequest,
    LedgerUnavailable,
    MethodNotAllowed,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    NotServingHere,
    RequestTooLarge,
)


@pytest.mark.parametrize("path", sorted(api.get_openapi_schema(path_prefix="/api/")["paths"]))
def test_every_path_is_described(path: str) -> None:
    assert f" {path}" in TEXT


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_code_is_described_with_its_status(error: type[GatewayError]) -> None:
    assert f"| {error.status} | `{error.code}` |" in TEXT


@pytest.mark.parametrize("word", [*SpendGroup, "force_open", "force_closed", "reset"])
def test_every_word_a_caller_may_send_is_described(word: str) -> None:
    assert f"`{word}`" in TEXT
