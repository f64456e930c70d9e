"""The snapshot is the configuration in force."""

from __future__ import annotations

import dataclasses
import logging
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.utils import timezone

from gateway.engine.words import Wire
from gateway.models import Price, Provider
from gateway.services.configuration import configuration_version
from gateway.services.keys import key_hash
from gateway.services.snapshot_load import snapshot_load
from tests.services.conftest import Apply


def test_routes_are_found_by_name_and_alias(apply: Apply, small: str) -> None:
    apply(small)
    snapshot = snapshot_load()
    assert snapshot.routes["default"] is snapshot.routes["gpt-4-turbo"]
    assert [target.name for target in snapshot.routes["default"].targets] == [
        "openai/gpt-4-turbo",
        "anthropic/claude-3-5-sonnet-20241022",
    ]
    assert snapshot.version == configuration_version()


def test_a_target_has_its_own_times_where_it_sets_them_and_its_providers_elsewhere(apply: Apply, full: str) -> None:
    apply(full)
    first, second = snapshot_load().routes["default"].targets
    assert (first.timeouts.attempt_seconds, first.retry.retries, first.timeouts.first_token_seconds) == (20, 0, 6)
    assert (second.timeouts.attempt_seconds, second.retry.retries) == (30, 3)


@pytest.mark.parametrize(("setting", "seconds"), [("", 60), (", first_token_timeout_seconds: 8", 8)])
def test_models_that_think_first_get_a_minute_unless_set(apply: Apply, small: str, setting: str, seconds: int) -> None:
    apply(small.replace("model: gpt-4-turbo", "model: gpt-6.1-sol").replace("secret}", "secret" + setting + "}"))
    reasoning, plain = snapshot_load().routes["default"].targets
    assert reasoning.timeouts.first_token_seconds == seconds
    assert plain.timeouts.first_token_seconds == (12 if not setting else 8)


def test_targets_of_a_disabled_provider_are_left_out(apply: Apply, small: str) -> None:
    apply(small.replace("first-provider-secret", "first-provider-secret, enabled: false"))
    snapshot = snapshot_load()
    assert [target.provider.name for target in snapshot.routes["default"].targets] == ["anthropic"]
    assert not snapshot.providers["openai"].enabled


def test_a_providers_key_comes_from_its_variable_or_its_row(
    apply: Apply, full: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_OPENAI_KEY", "from-the-environment")
    apply(full)
    providers = snapshot_load().providers
    assert providers["openai"].api_key == "from-the-environment"
    assert providers["anthropic"].api_key == "stored-provider-secret"


@pytest.mark.parametrize(("value", "told"), [("", True), ("from-the-environment", False)])
def test_a_provider_whose_variable_is_not_set_is_told_once_in_the_log(
    apply: Apply, full: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, value: str, told: bool
) -> None:
    monkeypatch.setenv("TEST_OPENAI_KEY", value)
    apply(full)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        snapshot_load()
    assert caplog.text.count("provider openai has no API key: TEST_OPENAI_KEY is not set here") == told


def test_a_secret_that_cannot_be_read_costs_only_its_provider(
    apply: Apply, small: str, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    apply(small)
    settings.LLMOPS_ENCRYPTION_KEYS = (Fernet.generate_key().decode(),)
    with caplog.at_level(logging.ERROR):
        snapshot = snapshot_load()
    assert snapshot.providers["openai"].api_key is None
    assert "provider openai has no usable API key" in caplog.text


def test_keys_are_found_by_hash(apply: Apply, full: str) -> None:
    apply(full)
    keys = snapshot_load().keys
    agents = keys[key_hash("sk-llmops-plain-key-for-tests")]
    assert (agents.name, agents.team_name, agents.role, agents.disabled) == ("agents", "research", "agent", True)
    assert agents.routes == frozenset({"own", "default"})
    assert agents.expires_at == datetime(2031, 1, 31, tzinfo=UTC)
    assert keys[key_hash("sk-llmops-another-key-for-tests")].routes is None


def test_budgets_carry_subject_and_window(apply: Apply, full: str) -> None:
    apply(full)
    budgets = {budget.name: budget for budget in snapshot_load().budgets}
    assert budgets["agents' hours"].window == 7200
    assert budgets["research month"].blocking
    assert budgets["research month"].subject is not None
    assert budgets["per conversation"].subject is None
    assert budgets["per conversation"].limit_usd == Decimal("0.5")


def test_an_override_hides_the_listed_price(apply: Apply, small: str) -> None:
    apply(small + "prices: [{kind: openai, model: gpt-4-turbo, input_per_mtok: 11, output_per_mtok: 30}]")
    found = snapshot_load().price_book.find(Wire.OPENAI, "gpt-4-turbo", timezone.now())
    assert found is not None
    assert found.input_per_mtok == 11


def test_an_override_of_tomorrow_leaves_todays_price(apply: Apply, small: str) -> None:
    apply(small)
    future = datetime(2099, 1, 1, tzinfo=UTC)
    Price.objects.create(kind="openai", model="gpt-4-turbo", input_per_mtok=1, output_per_mtok=1, valid_from=future)
    book = snapshot_load().price_book
    today, later = (book.find(Wire.OPENAI, "gpt-4-turbo", at) for at in (timezone.now(), future))
    assert today is not None
    assert later is not None
    assert (today.input_per_mtok, later.input_per_mtok) == (10, 1)


def test_an_empty_database_gives_an_empty_snapshot(db: None) -> None:
    snapshot = snapshot_load()
    assert (snapshot.version, dict(snapshot.routes), snapshot.zone.key) == (0, {}, "UTC")


def test_loading_takes_the_same_few_queries_however_much_there_is(
    apply: Apply, full: str, django_assert_num_queries: Any
) -> None:
    apply(full)
    with django_assert_num_queries(14):
        snapshot_load()


def test_no_secret_shows_in_a_snapshot(apply: Apply, full: str) -> None:
    apply(full)
    snapshot = snapshot_load()
    assert "stored-provider-secret" not in repr(snapshot)
    assert "stored-provider-secret" not in repr(vars(Provider.objects.get(name="anthropic")))


def test_a_snapshot_cannot_be_changed(db: None) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot_load().version = 7  # type: ignore[misc]
