"""Applying a configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.models import (
    AlertChannel,
    ApiKey,
    Budget,
    ConfigurationChange,
    Organisation,
    Price,
    Provider,
    Route,
    Team,
)
from gateway.services.configuration import configuration_version
from gateway.services.configuration_file import ConfigurationFileError
from tests.services.conftest import Apply

ROOT = Path(__file__).resolve().parents[2]


def lines(changes: tuple[object, ...]) -> list[str]:
    return [str(change) for change in changes]


def test_an_empty_database_gets_everything(apply: Apply, small: str) -> None:
    assert lines(apply(small)) == ["+ providers openai", "+ providers anthropic", "+ routes default"]
    assert [str(target) for target in Route.objects.get().targets.all()] == [
        "openai/gpt-4-turbo",
        "anthropic/claude-3-5-sonnet-20241022",
    ]


@pytest.mark.parametrize("name", ["small", "full"])
def test_applied_twice_changes_nothing(apply: Apply, name: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(name)
    apply(text)
    version = configuration_version()
    assert apply(text) == ()
    assert configuration_version() == version


@pytest.mark.parametrize("name", ["demo.yaml", "live.yaml"])
def test_the_shipped_files_apply(apply: Apply, name: str) -> None:
    assert apply((ROOT / name).read_text(encoding="utf-8"))


def test_a_dry_run_tells_and_leaves_no_trace(apply: Apply, small: str) -> None:
    assert len(apply(small, dry_run=True)) == 3
    assert not Provider.objects.exists()
    assert not Price.objects.exists()
    assert configuration_version() == 0


def test_a_change_moves_the_version(apply: Apply, small: str) -> None:
    apply(small)
    before = configuration_version()
    apply(small.replace("api_key: first", "retries: 1, api_key: first"))
    assert configuration_version() > before


def test_a_difference_is_told_with_both_values(apply: Apply, small: str) -> None:
    apply(small)
    changed = apply(small.replace("api_key: first", "retries: 1, api_key: first"))
    assert lines(changed) == ["~ providers openai: retries=3 → retries=1"]


def test_what_vanished_from_a_section_is_archived_and_keeps_its_id_when_it_returns(apply: Apply, small: str) -> None:
    apply(small + "teams: [{name: a}, {name: b}]")
    team = Team.objects.get(name="b")
    assert lines(apply(small + "teams: [{name: a}]")) == ["- teams b"]
    team.refresh_from_db()
    assert team.archived
    assert lines(apply(small + "teams: [{name: a}, {name: b}]")) == ["+ teams b"]
    assert Team.objects.alive().get(name="b").pk == team.pk


def test_a_section_that_is_absent_is_left_alone(apply: Apply, full: str, small: str) -> None:
    apply(full)
    apply(small.replace("default", "own") + "prices: [{kind: openai, model: x, free: true}]\nbudgets: []")
    assert AlertChannel.objects.alive().count() == 1
    assert Organisation.objects.get().time_zone == "Europe/Berlin"
    assert not Budget.objects.alive().exists()


def test_a_file_with_a_mistake_changes_nothing(apply: Apply, small: str) -> None:
    with pytest.raises(ConfigurationFileError, match="budgets"):
        apply(small + "budgets: [{name: a, scope: nobody, limit_usd: 1}]")
    assert not Provider.objects.exists()
    assert not Price.objects.exists()


def test_a_target_without_a_price_is_refused(apply: Apply, small: str) -> None:
    with pytest.raises(ConfigurationFileError, match=r"routes\[0\].targets\[0\].model: no price is known"):
        apply(small.replace("model: gpt-4-turbo", "model: gpt-unheard-of"))


def test_a_model_priced_by_the_file_is_refused_once_its_price_vanishes(apply: Apply, small: str) -> None:
    text = small.replace("model: gpt-4-turbo", "model: ours")
    apply(text + "prices: [{kind: openai, model: ours, free: true}]")
    assert apply(text) == ()
    with pytest.raises(ConfigurationFileError, match='no price is known for the openai model "ours"'):
        apply(text + "prices: []")


def test_a_changed_price_is_a_new_version(apply: Apply, small: str) -> None:
    price = "prices: [{kind: openai, model: gpt-4-turbo, input_per_mtok: %s, output_per_mtok: 30}]"
    apply(small + price % 10)
    apply(small + price % 11)
    versions = Price.objects.filter(source="override").order_by("pk")
    assert [(version.input_per_mtok, version.archived) for version in versions] == [(10, True), (11, False)]


def test_a_team_is_kept_while_a_key_outside_the_file_belongs_to_it(apply: Apply, full: str, small: str) -> None:
    apply(full)
    with pytest.raises(ConfigurationFileError) as caught:
        apply(small + "teams: []")
    assert 'teams: "research" is missing, but the API key "agents" needs it' in str(caught.value)


def test_history_says_who_changed_what_without_secrets(apply: Apply, full: str) -> None:
    apply(full)
    apply(full.replace("stored-provider-secret", "other-provider-secret"))
    last = ConfigurationChange.objects.latest("pk")
    assert (last.actor, last.action, last.section, last.name) == ("tester", "changed", "providers", "anthropic")
    told = " ".join(f"{row.before} {row.after}" for row in ConfigurationChange.objects.all())
    assert "api_key=(secret, now)" in last.after
    for secret in ("provider-secret", "alert-secret", "sk-llmops-plain"):
        assert secret not in told


def test_a_changed_secret_is_told_without_its_value(apply: Apply, small: str) -> None:
    apply(small)
    changed = apply(small.replace("first-provider-secret", "new-provider-secret"))
    assert lines(changed) == ["~ providers openai: api_key=(secret, before) → api_key=(secret, now)"]
    assert Provider.objects.get(name="openai").stored_api_key() == "new-provider-secret"


def test_a_forced_breaker_is_none_of_the_files_business(apply: Apply, small: str) -> None:
    apply(small)
    Provider.objects.filter(name="openai").update(forced_breaker="open", forced_breaker_reason="incident")
    assert apply(small) == ()
    apply(small.replace("api_key: first", "retries: 1, api_key: first"))
    assert Provider.objects.get(name="openai").forced_breaker == "open"


def test_keys_are_stored_as_hashes_only(apply: Apply, full: str) -> None:
    apply(full)
    key = ApiKey.objects.get(name="agents")
    assert "plain-key" not in repr(vars(key))
    assert key.prefix == "sk-llmops-plai…"


def test_two_keys_can_swap_their_texts(apply: Apply, small: str) -> None:
    keys = 'api_keys: [{name: a, key: "%s-key-of-sixteen"}, {name: b, key: "%s-key-of-sixteen"}]'
    apply(small + keys % ("first", "second"))
    assert len(apply(small + keys % ("second", "first"))) == 2
    assert apply(small + keys % ("second", "first")) == ()


def test_an_encrypted_secret_of_another_installation_is_refused_by_path(apply: Apply, small: str) -> None:
    with pytest.raises(ConfigurationFileError, match=r"providers\[0\]: a stored secret can't be read"):
        apply(small.replace("api_key: first-provider-secret", "api_key_encrypted: gAAAAABnonsense"))
