"""API keys are made, shown once and kept as hashes."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.utils import timezone

from gateway.engine.errors import ModelNotFound
from gateway.services.access import route_for
from gateway.services.key_uses import KeyUses, keys_used
from gateway.services.keys import NO_OVERLAP, key_create, key_disable, key_hash, key_of_text, key_prefix, key_rotate
from gateway.services.snapshot import ApiKey
from gateway.services.snapshot_load import snapshot_load
from gateway.stores.key_limits import Limits

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
    new = key_rotate(key=row, actor="tester", overlap=NO_OVERLAP)
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


def test_the_old_key_is_taken_until_the_overlap_is_over() -> None:
    row, old = key_create(name="a", actor="tester")
    key_rotate(key=row, actor="tester")
    replaced = snapshot_load().keys[key_hash(old)]
    assert (replaced.id, replaced.expires_at) == (row.pk, row.overlap_until)
    assert key_of_text(old) == row


def test_the_overlap_never_outlasts_the_key() -> None:
    soon = timezone.now() + timedelta(hours=1)
    row, old = key_create(name="a", actor="tester", expires_at=soon)
    key_rotate(key=row, actor="tester")
    assert snapshot_load().keys[key_hash(old)].expires_at == soon


def test_a_key_rotated_twice_has_one_old_text() -> None:
    row, oldest = key_create(name="a", actor="tester")
    old = key_rotate(key=row, actor="tester")
    new = key_rotate(key=row, actor="tester")
    assert set(snapshot_load().keys) == {key_hash(old), key_hash(new)}
    assert key_of_text(oldest) is None


def test_disabling_a_key_refuses_its_old_text_too() -> None:
    row, old = key_create(name="a", actor="tester")
    new = key_rotate(key=row, actor="tester")
    key_disable(key=row, actor="tester")
    assert [snapshot_load().keys[key_hash(text)].disabled for text in (old, new)] == [True, True]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"routes": []}, "Choose at least one route"),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "This time has passed"),
    ],
    ids=["no route", "expired"],
)
def test_a_key_that_could_never_be_used_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        key_create(name="a", actor="tester", **fields)


def test_an_older_use_never_replaces_a_newer_one() -> None:
    row, _ = key_create(name="a", actor="tester")
    now = timezone.now()
    keys_used({row.pk: now})
    keys_used({row.pk: now - timedelta(minutes=1)})
    row.refresh_from_db()
    assert row.last_used_at == now


def test_a_use_is_written_at_most_once_a_minute() -> None:
    uses, now = KeyUses(), timezone.now()
    uses.note(1, now)
    assert uses.due() == {1: now}


def test_the_command_makes_rotates_disables_and_lists(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("key", "create", "agents", "--max-parallel", "3")
    first = capsys.readouterr().out.strip()
    call_command("key", "rotate", "agents", "--now")
    second = capsys.readouterr().out.strip()
    call_command("key", "disable", "agents")
    call_command("key", "list")
    key = snapshot_load().keys[key_hash(second)]
    assert (key.disabled, key.limits) == (True, Limits(max_parallel=3))
    assert key_of_text(first) is None
    listed = capsys.readouterr().out
    assert "disabled  last used never" in listed
    assert second not in listed


def test_the_command_names_the_keys_there_are() -> None:
    key_create(name="agents", actor="tester")
    with pytest.raises(CommandError, match="There are: agents"):
        call_command("key", "rotate", "agent")


def test_a_key_may_name_a_providers_model_where_it_is_allowed_to(apply: Any, small: str) -> None:
    apply(small)
    snapshot = snapshot_load()
    allowed = ApiKey(1, "a", None, "", None, "agent", None, disabled=False, direct_models=True)
    route = route_for(snapshot, allowed, "openai/gpt-4o")
    assert [target.name for target in route.targets] == ["openai/gpt-4o"]
    with pytest.raises(ModelNotFound):
        route_for(snapshot, replace(allowed, direct_models=False), "openai/gpt-4o")
    with pytest.raises(ModelNotFound):
        route_for(snapshot, allowed, "nobody/gpt-4o")
