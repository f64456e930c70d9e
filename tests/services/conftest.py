"""Configuration files of the tests, and short ways to apply them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.services.apply import configuration_apply
from gateway.services.configuration_diff import Change

SMALL = """
providers:
  - {name: openai, kind: openai, base_url: "http://127.0.0.1:8100/openai/v1", api_key: first-provider-secret}
  - {name: anthropic, kind: anthropic, base_url: "http://127.0.0.1:8100/anthropic", api_key: second-provider-secret}
routes:
  - name: default
    aliases: [gpt-4-turbo]
    targets:
      - {provider: openai, model: gpt-4-turbo}
      - {provider: anthropic, model: claude-3-5-sonnet-20241022}
"""

Apply = Callable[..., tuple[Change, ...]]


@pytest.fixture
def small() -> str:
    """Two providers and a route, nothing else."""
    return SMALL


@pytest.fixture
def full() -> str:
    """Every section and every field."""
    return (Path(__file__).parent / "full.yaml").read_text(encoding="utf-8")


@pytest.fixture
def apply(db: None) -> Apply:
    def applied(text: str, *, dry_run: bool = False) -> tuple[Change, ...]:
        return configuration_apply(text, actor="tester", dry_run=dry_run)

    return applied
