"""A configuration file with mistakes is refused with every mistake by its path."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.services.configuration_entries import ConfigurationFile
from gateway.services.configuration_file import ConfigurationFileError, Known, configuration_parse

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PROVIDERS = """
providers:
  - {name: openai, kind: openai, base_url: "https://api.openai.com/v1"}
  - {name: anthropic, kind: anthropic, base_url: "https://api.anthropic.com"}
"""
ROUTES = """
routes:
  - {name: default, targets: [{provider: openai, model: gpt-4o}]}
"""


def parse(text: str) -> ConfigurationFile:
    return configuration_parse(text, Known(now=NOW, listed=lambda kind, model: model != "unpriced"))


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigurationFileError) as caught:
        parse(text)
    return [str(problem) for problem in caught.value.problems]


def provider(fields: str) -> str:
    return 'providers: [{name: openai, kind: openai, base_url: "https://x.test", ' + fields + "}]" + ROUTES


def route(fields: str) -> str:
    return PROVIDERS + "routes: [{name: default, targets: [{provider: openai, model: gpt-4o}], " + fields + "}]"


def with_section(text: str) -> str:
    return PROVIDERS + ROUTES + text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty; it needs at least providers and routes"),
        ("- 1", "must be a mapping, not a list"),
        (PROVIDERS, "routes: is missing"),
        (PROVIDERS + ROUTES + "budget: []", "budget: unknown field; did you mean budgets?"),
        (PROVIDERS + "routes:", "routes: must be a list, not null"),
        (PROVIDERS + "routes: [3]", "routes[0]: must be a mapping, not 3"),
        (PROVIDERS + "routes: [{name: a, targets: []}]", "routes[0].targets: must have at least 1"),
        (provider("retrys: 3"), "providers[0].retrys: unknown field; did you mean retries?"),
        (provider("retries: three"), 'providers[0].retries: must be a whole number, not "three"'),
        (provider("retries: 2.5"), "providers[0].retries: must be a whole number, not 2.5"),
        (provider("retries: -1"), "providers[0].retries: must be a whole number, at least 0 and at most 20, not -1"),
        (provider("retries: true"), "providers[0].retries: must be a whole number, not true"),
        (provider("stall_timeout_seconds: 0"), "more than 0"),
        (provider("stall_timeout_seconds: .nan"), 'must be a number of seconds, not ".nan"'),
        (provider("stall_timeout_seconds: 1e999"), "at most 3,600"),
        (provider("enabled: maybe"), 'providers[0].enabled: must be true or false, not "maybe"'),
        (provider("breaker: 5"), "providers[0].breaker: must be a mapping, not 5"),
        (provider("breaker: {cooldown: 5}"), "providers[0].breaker.cooldown: unknown field; did you mean cooldown_sec"),
        (provider("api_key: abc, api_key_env: ABC"), "providers[0].api_key: give one of"),
        (provider("api_key_env: DATABASE_URL"), "providers[0].api_key_env: must be a variable that holds this"),
        (provider("extra_headers: {Authorization: x}"), "Authorization is set by the gateway itself"),
        (provider('extra_headers: {X-A: "a\\nb"}'), "the value of X-A must be text"),
        (PROVIDERS.replace("kind: openai", "kind: opena") + ROUTES, "must be one of openai, anthropic, not"),
        (
            PROVIDERS.replace("https://api.openai.com", "api.openai.com") + ROUTES,
            "providers[0].base_url: must be a web",
        ),
        (PROVIDERS.replace("name: openai", "name: 4") + ROUTES, "providers[0].name: must be text; put it in quotes"),
        (
            PROVIDERS.replace("name: anthropic", "name: openai") + ROUTES,
            "providers[1].name: is the same as in providers[0]",
        ),
        (PROVIDERS + ROUTES.replace("r: openai", "r: opena"), 'no provider named "opena"; known: openai, anthropic'),
        (
            PROVIDERS + ROUTES.replace("gpt-4o", "unpriced"),
            "routes[0].targets[0].model: no price is known for the openai",
        ),
        (route("simple_target: {provider: x, model: y}"), 'routes[0].simple_target.provider: no provider named "x"'),
        (route("simple_mode: 101"), "routes[0].simple_mode: must be off, shadow, on or a percentage"),
        (route("aliases: [default]"), 'routes[0].aliases[0]: "default" is already taken by routes[0].name'),
        (route("aliases: [a b]"), "routes[0].aliases[0]: must be made of letters"),
        (route("cache: {scope: all}"), 'routes[0].cache.scope: must be one of team, route, not "all"'),
        (with_section("api_keys: [{name: a, key: 0123456789abcdef, team: x}]"), 'api_keys[0].team: no team named "x"'),
        (
            with_section("api_keys: [{name: a, key: 0123456789abcdef, routes: [x]}]"),
            "api_keys[0].routes[0]: no route named",
        ),
        (with_section("api_keys: [{name: a}]"), "api_keys[0].key: give key, or key_hash"),
        (with_section("api_keys: [{name: a, key: short}]"), "api_keys[0].key: must be at least 16 characters"),
        (with_section("api_keys: [{name: a, key: 0123456789abcdef, expires_at: soon}]"), "must be a time such as"),
        (
            with_section("prices: [{kind: openai, model: m, output_per_mtok: 1}]"),
            "prices[0].input_per_mtok: is missing (or say free: true)",
        ),
        (
            with_section('prices: [{kind: openai, model: m, input_per_mtok: "0", output_per_mtok: 0}]'),
            "prices[0].input_per_mtok: must be more than 0; a model that costs nothing must say free: true",
        ),
        (
            with_section('prices: [{kind: openai, model: m, input_per_mtok: "0.1234567", output_per_mtok: 0}]'),
            "prices[0].input_per_mtok: must have at most 6 decimals",
        ),
        (
            with_section("budgets: [{name: a, scope: team, limit_usd: 0}]"),
            "budgets[0].limit_usd: must be a number, more than 0",
        ),
        (with_section("budgets: [{name: a, scope: all, limit_usd: 1}]"), "scope: must be one of global, team, api_key"),
        (
            with_section("budgets: [{name: a, scope: team, subject: x, limit_usd: 1}]"),
            'budgets[0].subject: no team named "x"',
        ),
        (
            with_section("budgets: [{name: a, scope: global, subject: x, limit_usd: 1}]"),
            "budgets[0].subject: must be null",
        ),
        (
            with_section("budgets: [{name: a, scope: team, window: year, limit_usd: 1}]"),
            "budgets[0].window: must be hour, day",
        ),
        (
            with_section("alert_channels: [{name: a, url: nowhere}]"),
            "alert_channels[0].url: must be an address such as",
        ),
        (
            with_section('alert_channels: [{name: a, url: "slak://secret-value/x"}]'),
            "alert_channels[0].url: begins with a scheme that Apprise doesn't know; the nearest is slack://",
        ),
        (with_section('alert_channels: [{name: a, url: "json://x", events: [fire]}]'), "no event is called 'fire'"),
        (
            with_section("time_zone: Berlin"),
            'time_zone: must be a time zone such as Europe/Berlin or UTC, not "Berlin"',
        ),
        (
            with_section("objectives: {availability_percent: 101}"),
            "objectives.availability_percent: must be a number, more",
        ),
    ],
)
def test_a_mistake_is_told_by_its_path(text: str, message: str) -> None:
    told = problems(text)
    assert len(told) == 1
    assert message in told[0]


def test_all_mistakes_are_told_together() -> None:
    text = provider("retries: x, enabled: 7") + "teams: [{}]"
    assert len(problems(text.replace("provider: openai", "provider: opena"))) == 4


@pytest.mark.parametrize(
    "text",
    [
        provider("api_key: [sk-secret-value]"),
        provider('api_key: "sk-secret-value with spaces"'),
        provider("api_key_env: sk-secret-value"),
        provider('extra_headers: {X-A: "secret-value\\u00e9"}'),
        PROVIDERS.replace("https://api.openai.com/v1", "https://user:secret-value@x.test") + ROUTES,
        with_section("alert_channels: [{name: a, url: secret-value}]"),
        with_section('alert_channels: [{name: a, url: "slak://secret-value/x"}]'),
        with_section("api_keys: [{name: a, key: secret-value}]"),
    ],
)
def test_no_secret_is_repeated_in_a_message(text: str) -> None:
    assert not any("secret-value" in message for message in problems(text))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("on", "on"),
        ("true", "on"),
        ("false", "off"),
        ('"off"', "off"),
        ("shadow", "shadow"),
        ("25", "25%"),
        ("7%", "7%"),
    ],
)
def test_simple_mode_takes_every_way_of_writing_it(written: str, meant: str) -> None:
    assert parse(route(f"simple_mode: {written}")).routes[0].simple_mode == meant


def test_a_price_that_begins_later_does_not_make_a_model_usable_now() -> None:
    later = 'prices: [{kind: openai, model: unpriced, input_per_mtok: 1, output_per_mtok: 1, valid_from: "2027-01-01"}]'
    assert "no price is known" in problems(PROVIDERS + ROUTES.replace("gpt-4o", "unpriced") + later)[0]


def test_defaults_are_the_documented_ones() -> None:
    file = parse(PROVIDERS + ROUTES)
    assert (file.providers[0].retries, file.providers[0].breaker.cooldown_seconds) == (3, 60)
    assert (file.routes[0].simple_mode, file.routes[0].deadline_seconds) == ("shadow", 90)
    assert file.teams is None
