"""API keys are made, shown once and kept as hashes."""

from __future__ import annotations

import re

import pytest
from django.core.exceptions import ValidationError

from gateway.services.keys import key_create, key_hash, key_prefix, key_rotate
from gateway.services.snapshot_load import snapshot_load

pytestmark = pytest.mark.django_db


def test_a_new_key_is_long_and_random() -> None:
    _, first = key_create(name="a", actor="tester")
    _, second = key_create(name="b", actor="tester")
    assert re.fullmatch(r"sk-llmops-[A-Za-z0-9_-]{43}", first)
    assert first != second


def test_a_new_key_is_known_by_its_hash_at_once() -> None:
    row, plain = key_create(name="a", actor="tester", role="operator")
    assert snapshot_load().keys[key_hash(plain)].id == row.pk


def test_a_rotated_key_replaces_the_old_text() -> None:
    row, old = key_create(name="a", actor="tester")
    new = key_rotate(key=row, actor="tester")
    keys = snapshot_load().keys
    assert key_hash(new) in keys
    assert key_hash(old) not in keys


def test_a_taken_name_is_refused() -> None:
    key_create(name="a", actor="tester")
    with pytest.raises(ValidationError, match="has this name"):
        key_create(name="a", actor="tester")


@pytest.mark.parametrize(("key", "shown"), [("sk-llmops-abcdefgh", "sk-llmops-abcd…"), ("something-else", "some…")])
def test_a_prefix_gives_away_four_characters(key: str, shown: str) -> None:
    assert key_prefix(key) == shown
