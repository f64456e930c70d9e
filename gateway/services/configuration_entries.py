"""The sections of the configuration file as plain values: every field, its reader and its default.

The same fields are described for people in docs/configuration.md.
"""
# ruff: noqa: RUF009 - `item` is dataclasses.field with a reader; its defaults are immutable

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from gateway import bounds
from gateway.alerts.channel import address_problem
from gateway.engine.tier import Tier
from gateway.engine.words import Wire
from gateway.models.alert_channel import ALL_EVENTS, events_problem
from gateway.models.base import LABEL, MODEL_NAME, NAME, ROUTE_NAME
from gateway.models.budget import SUBJECT_COLUMNS, window_problem
from gateway.models.organisation import (
    DEFAULT_ALERT_FALLBACK_RATE_PERCENT,
    DEFAULT_ALERT_MINIMUM_COMPLETIONS,
    DEFAULT_ALERT_MINIMUM_FAILURES,
    DEFAULT_COMPLETIONS_DAYS,
)
from gateway.models.provider import api_key_env_problem, base_url_problem, extra_headers_problem
from gateway.models.words import BudgetScope, CacheScope, Enforcement, KeyRole, StreamRecovery
from gateway.models.workload import FINGERPRINT, MAX_TAG_CHARACTERS, NO_CONDITION, TAG
from gateway.services.configuration_cheap_model import SimpleRulesEntry, simple_mode
from gateway.services.configuration_readers import (
    Wrong,
    boolean,
    choice,
    decimal,
    entry,
    item,
    leaf,
    list_of,
    matching,
    moment,
    nullable,
    number,
    seconds,
    shown,
    text,
    whole,
)

Found = Iterator[tuple[str, str]]  # field and message
MINIMUM_KEY_LENGTH = 16
HASH = re.compile(r"[0-9a-f]{64}\Z")


def _rule(validator: Any, message: str) -> Any:
    return matching(re.compile(validator.regex), message)


_label = text(100, check=_rule(LABEL, "must not begin or end with a space or hold control characters"))
_provider_name = text(100, check=_rule(NAME, "must be made of letters, digits, dots, underscores, colons and hyphens"))
_route_name = text(100, check=_rule(ROUTE_NAME, "must be made of letters, digits and . _ : / @ -"))
_model = text(200, check=_rule(MODEL_NAME, "must be the model's name at the provider, without spaces"))
_secret = text(
    2_000, secret=True, check=matching(re.compile(r"[\x21-\x7e]+\Z"), "must be printable ASCII without spaces")
)
_token = text(10_000, secret=True)
_tag = text(MAX_TAG_CHARACTERS, check=_rule(TAG, "must be written like name=value"))
_fingerprint = text(16, check=_rule(FINGERPRINT, "must be a fingerprint of 16 hexadecimal digits, in quotes"))
_timeout = seconds(bounds.TIMEOUT_SECONDS)
_wait = seconds(bounds.WAIT_SECONDS)
_price = decimal(bounds.PRICE_PER_MTOK, 6)
_usd = decimal(bounds.LIMIT_USD, 12)


@leaf
def _window(value: Any) -> str:
    window = str(value) if isinstance(value, str | Decimal) else ""
    problem = window_problem(window)
    if problem:
        raise Wrong(f"{problem}, not {shown(value)}")
    return window


@leaf
def _extra_headers(value: Any) -> tuple[tuple[str, str], ...]:
    """A mapping, kept as sorted pairs, which can be compared and never change."""
    problem = extra_headers_problem(value)
    if problem:
        raise Wrong(problem)
    return tuple(sorted(value.items()))


@leaf
def _events(value: Any) -> tuple[str, ...]:
    problem = events_problem(value)
    if problem:
        raise Wrong(problem)
    return tuple(value)


def alert_url_problem(url: str) -> str | None:
    """What is wrong with an alert channel's address, as a sentence that doesn't repeat it, or None."""
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if not scheme or "://" not in url or re.search(r"[\s\x00-\x1f\x7f]", url):
        return "must be an address such as json://127.0.0.1:9000/alerts or mailto://…"
    return address_problem(url)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudgetEntry:
    percent: float = item(number(bounds.RETRY_BUDGET_PERCENT), 20.0)
    floor_per_second: float = item(number(bounds.RETRY_BUDGET_FLOOR), 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerEntry:
    failure_threshold: int = item(whole(bounds.FAILURE_THRESHOLD), 5)
    cooldown_seconds: float = item(seconds(bounds.COOLDOWN_SECONDS), 60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthProbeEntry:
    every_seconds: float | None = item(nullable(seconds(bounds.HEALTH_PROBE_SECONDS)), None)
    model: str | None = item(nullable(_model), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEntry:
    name: str = item(_provider_name)
    kind: str = item(choice(Wire))
    base_url: str = item(text(500, secret=True, check=base_url_problem))
    api_key_env: str | None = item(nullable(text(100, secret=True, check=api_key_env_problem)), None)
    api_key: str | None = item(nullable(_secret), None, secret=True)
    api_key_encrypted: str | None = item(nullable(_token), None, secret=True)
    extra_headers: tuple[tuple[str, str], ...] = item(_extra_headers, (), secret=True)
    attempt_timeout_seconds: float = item(_timeout, 30.0)
    connect_timeout_seconds: float = item(_timeout, 5.0)
    first_token_timeout_seconds: float | None = item(nullable(_timeout), None)
    stall_timeout_seconds: float = item(_timeout, 15.0)
    stream_max_seconds: float = item(seconds(bounds.STREAM_MAX_SECONDS), 900.0)
    retries: int = item(whole(bounds.RETRIES), 3)
    backoff_seconds: float = item(_wait, 0.5)
    backoff_max_seconds: float = item(_wait, 8.0)
    retry_after_max_seconds: float = item(_wait, 5.0)
    retry_budget: RetryBudgetEntry = item(entry(RetryBudgetEntry), RetryBudgetEntry())
    breaker: BreakerEntry = item(entry(BreakerEntry), BreakerEntry())
    health_probe: HealthProbeEntry = item(entry(HealthProbeEntry), HealthProbeEntry())
    max_in_flight: int = item(whole(bounds.IN_FLIGHT), 4000)
    max_queued: int = item(whole(bounds.QUEUED), 1000)
    queue_timeout_seconds: float = item(_wait, 5.0)
    enabled: bool = item(boolean, True)

    def problems(self) -> Found:
        if sum(each is not None for each in (self.api_key_env, self.api_key, self.api_key_encrypted)) > 1:
            yield "api_key", "give one of api_key_env, api_key and api_key_encrypted, not several"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetEntry:
    """Time-outs and retries that are None are the provider's."""

    provider: str = item(_provider_name)
    model: str = item(_model)
    attempt_timeout_seconds: float | None = item(nullable(_timeout), None)
    connect_timeout_seconds: float | None = item(nullable(_timeout), None)
    first_token_timeout_seconds: float | None = item(nullable(_timeout), None)
    stall_timeout_seconds: float | None = item(nullable(_timeout), None)
    stream_max_seconds: float | None = item(nullable(seconds(bounds.STREAM_MAX_SECONDS)), None)
    retries: int | None = item(nullable(whole(bounds.RETRIES)), None)
    backoff_seconds: float | None = item(nullable(_wait), None)
    backoff_max_seconds: float | None = item(nullable(_wait), None)
    retry_after_max_seconds: float | None = item(nullable(_wait), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    enabled: bool = item(boolean, False)
    ttl_seconds: int = item(whole(bounds.CACHE_TTL_SECONDS), 300)
    scope: str = item(choice(CacheScope), CacheScope.TEAM.value)
    prompt_prefix: bool = item(boolean, False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteEntry:
    name: str = item(_route_name)
    aliases: tuple[str, ...] = item(list_of(_route_name), ())
    targets: tuple[TargetEntry, ...] = item(list_of(entry(TargetEntry), at_least=1))
    simple_target: TargetEntry | None = item(nullable(entry(TargetEntry)), None)
    simple_mode: str = item(simple_mode, "shadow")
    deadline_seconds: float = item(_timeout, 90.0)
    max_output_tokens: int = item(whole(bounds.OUTPUT_TOKENS), 4096)
    stream_recovery: str = item(choice(StreamRecovery), StreamRecovery.CONTINUE.value)
    cache: CacheEntry = item(entry(CacheEntry), CacheEntry())
    store_content: bool = item(boolean, False)
    store_content_days: int = item(whole(bounds.CONTENT_DAYS), 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamEntry:
    name: str = item(_label)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyEntry:
    """`key_hash` is the key's SHA-256 in hex, `key_prefix` how it begins."""

    name: str = item(_label)
    key: str | None = item(nullable(_secret), None, secret=True)
    key_hash: str | None = item(
        nullable(text(64, secret=True, check=matching(HASH, "must be a SHA-256 in 64 hexadecimal digits"))),
        None,
        secret=True,
    )
    key_prefix: str = item(text(24), "")
    team: str | None = item(nullable(_label), None)
    routes: tuple[str, ...] | None = item(nullable(list_of(_route_name)), None)
    role: str = item(choice(KeyRole), KeyRole.AGENT.value)
    expires_at: datetime | None = item(nullable(moment), None)
    disabled: bool = item(boolean, False)
    requests_per_minute: int | None = item(nullable(whole(bounds.RATE_PER_MINUTE)), None)
    tokens_per_minute: int | None = item(nullable(whole(bounds.RATE_PER_MINUTE)), None)
    max_parallel: int | None = item(nullable(whole(bounds.PARALLEL)), None)
    direct_models: bool = item(boolean, False)

    def problems(self) -> Found:
        if (self.key is None) == (self.key_hash is None):
            yield "key", "give key, or key_hash as written by export"
        elif self.key is not None and len(self.key) < MINIMUM_KEY_LENGTH:
            yield "key", f"must be at least {MINIMUM_KEY_LENGTH} characters long"


@dataclass(frozen=True, slots=True, kw_only=True)
class LongContextEntry:
    """US dollars per million tokens of calls with more input tokens than `above_input_tokens`."""

    above_input_tokens: int = item(whole(bounds.LONG_CONTEXT_TOKENS))
    input_per_mtok: Decimal = item(_price)
    cached_input_per_mtok: Decimal | None = item(nullable(_price), None)
    cache_write_per_mtok: Decimal | None = item(nullable(_price), None)
    cache_write_1h_per_mtok: Decimal | None = item(nullable(_price), None)
    output_per_mtok: Decimal = item(_price)

    def problems(self) -> Found:
        if self.input_per_mtok == 0:
            yield "input_per_mtok", "must be more than 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceEntry:
    """US dollars per million tokens, and per thousand web searches."""

    kind: str = item(choice(Wire))
    model: str = item(_model)
    input_per_mtok: Decimal | None = item(nullable(_price), None)
    cached_input_per_mtok: Decimal | None = item(nullable(_price), None)
    cache_write_per_mtok: Decimal | None = item(nullable(_price), None)
    cache_write_1h_per_mtok: Decimal | None = item(nullable(_price), None)
    output_per_mtok: Decimal | None = item(nullable(_price), None)
    reasoning_per_mtok: Decimal | None = item(nullable(_price), None)
    long_context: LongContextEntry | None = item(nullable(entry(LongContextEntry)), None)
    web_searches_per_thousand: Decimal | None = item(nullable(_price), None)
    batch_factor: Decimal = item(decimal(bounds.BATCH_FACTOR, 6), Decimal("0.5"))
    free: bool = item(boolean, False)
    valid_from: datetime | None = item(nullable(moment), None)
    note: str | None = item(nullable(text(300)), None)

    def problems(self) -> Found:
        if self.free:
            if self.input_per_mtok or self.output_per_mtok:
                yield "free", "a free model can't have a price"
            return
        for name in ("input_per_mtok", "output_per_mtok"):
            if getattr(self, name) is None:
                yield name, "is missing (or say free: true)"
        if self.input_per_mtok == 0:
            yield "input_per_mtok", "must be more than 0; a model that costs nothing must say free: true"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetEntry:
    name: str = item(_label)
    scope: str = item(choice(BudgetScope))
    subject: str | None = item(nullable(text(100)), None)
    window: str = item(_window, "month")
    limit_usd: Decimal = item(_usd)
    enforcement: str = item(choice(Enforcement), Enforcement.BLOCK.value)
    alert_at_percent: tuple[int, ...] = item(list_of(whole(bounds.ALERT_PERCENT)), (50, 80, 100))
    step_down_at_percent: int | None = item(nullable(whole(bounds.STEP_DOWN_PERCENT)), None)
    shrink_output: bool = item(boolean, False)

    def problems(self) -> Found:
        if self.subject is not None and self.scope not in SUBJECT_COLUMNS:
            yield "subject", f"must be null for a budget of scope {self.scope}"
        if len(set(self.alert_at_percent)) != len(self.alert_at_percent):
            yield "alert_at_percent", "lists a percentage twice"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadEntry:
    """Conditions that are None are met by every request."""

    name: str = item(_label)
    tier: str = item(choice(Tier))
    api_key: str | None = item(nullable(text(100)), None)
    team: str | None = item(nullable(text(100)), None)
    tag: str | None = item(nullable(_tag), None)
    system_prompt: str | None = item(nullable(_fingerprint), None)

    @property
    def conditions(self) -> tuple[str | None, ...]:
        return self.api_key, self.team, self.tag, self.system_prompt

    def problems(self) -> Found:
        if not any(self.conditions):
            yield "name", NO_CONDITION


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChannelEntry:
    name: str = item(_label)
    url: str | None = item(nullable(text(2_000, secret=True, check=alert_url_problem)), None, secret=True)
    url_encrypted: str | None = item(nullable(_token), None, secret=True)
    events: tuple[str, ...] = item(_events, (ALL_EVENTS,))

    def problems(self) -> Found:
        if (self.url is None) == (self.url_encrypted is None):
            yield "url", "give url, or url_encrypted as written by export"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectivesEntry:
    availability_percent: Decimal = item(decimal(bounds.OBJECTIVE_PERCENT, 4), Decimal("99.9"))
    fallback_success_percent: Decimal = item(decimal(bounds.OBJECTIVE_PERCENT, 4), Decimal(95))
    mean_latency_seconds: Decimal = item(decimal(bounds.OBJECTIVE_SECONDS, 3), Decimal(2))
    conversation_cost_usd: Decimal = item(_usd, Decimal("0.50"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionEntry:
    completions_days: int | None = item(nullable(whole(bounds.RETENTION_DAYS)), DEFAULT_COMPLETIONS_DAYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsEntry:
    alert_minimum_completions: int = item(whole(bounds.ALERT_MINIMUM_COMPLETIONS), DEFAULT_ALERT_MINIMUM_COMPLETIONS)
    alert_minimum_failures: int = item(whole(bounds.ALERT_MINIMUM_FAILURES), DEFAULT_ALERT_MINIMUM_FAILURES)
    alert_fallback_rate_percent: int | None = item(
        nullable(whole(bounds.ALERT_FALLBACK_RATE_PERCENT)), DEFAULT_ALERT_FALLBACK_RATE_PERCENT
    )


@leaf
def _time_zone(value: Any) -> str:
    if not isinstance(value, str) or value not in available_timezones():
        raise Wrong(f"must be a time zone such as Europe/Berlin or UTC, not {shown(value)}")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationFile:
    """A whole file. A section that is None was not in it and stays as it is in the database."""

    providers: tuple[ProviderEntry, ...] = item(list_of(entry(ProviderEntry)))
    routes: tuple[RouteEntry, ...] = item(list_of(entry(RouteEntry)))
    teams: tuple[TeamEntry, ...] | None = item(list_of(entry(TeamEntry)), None)
    api_keys: tuple[ApiKeyEntry, ...] | None = item(list_of(entry(ApiKeyEntry)), None)
    prices: tuple[PriceEntry, ...] | None = item(list_of(entry(PriceEntry)), None)
    budgets: tuple[BudgetEntry, ...] | None = item(list_of(entry(BudgetEntry)), None)
    workloads: tuple[WorkloadEntry, ...] | None = item(list_of(entry(WorkloadEntry)), None)
    alert_channels: tuple[AlertChannelEntry, ...] | None = item(list_of(entry(AlertChannelEntry)), None)
    objectives: ObjectivesEntry | None = item(entry(ObjectivesEntry), None)
    alerts: AlertsEntry | None = item(entry(AlertsEntry), None)
    retention: RetentionEntry | None = item(entry(RetentionEntry), None)
    simple_rules: SimpleRulesEntry | None = item(entry(SimpleRulesEntry), None)
    time_zone: str | None = item(_time_zone, None)
