"""Read the configuration from the database into a `Snapshot`, in a handful of queries."""

from __future__ import annotations

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from gateway import models
from gateway.crypto import SecretUnreadable
from gateway.engine.catalogue import model_traits
from gateway.engine.configuration import BreakerPolicy, Provider, RetryBudget, RetryPolicy, Route, Target, Timeouts
from gateway.engine.words import Wire
from gateway.ledger.budgets import Budget, LimitRaise, Scope, Window
from gateway.ledger.prices import LongContext, Price, PriceBook
from gateway.models.organisation import organisation_current
from gateway.models.provider import api_key_env_problem
from gateway.models.words import Enforcement, PriceSource
from gateway.services.cache_settings import route_cache
from gateway.services.configuration import configuration_version
from gateway.services.drills_in_force import drills_in_force
from gateway.services.simple_configuration import simple_rules_in_force, workloads_in_force
from gateway.services.snapshot import ApiKey, Objectives, Snapshot
from llmops.env import env_text

logger = logging.getLogger(__name__)

REASONING_FIRST_TOKEN_SECONDS = 60.0  # these models think before their first content
_TRIES = 5  # at a consistent read, while others keep changing the configuration
_TIMEOUT_COLUMNS = {
    "attempt_seconds": "attempt_timeout_seconds",
    "connect_seconds": "connect_timeout_seconds",
    "first_token_seconds": "first_token_timeout_seconds",
    "stall_seconds": "stall_timeout_seconds",
    "stream_max_seconds": "stream_max_seconds",
}
_RETRY_COLUMNS = {
    name: name for name in ("retries", "backoff_seconds", "backoff_max_seconds", "retry_after_max_seconds")
}


def snapshot_load() -> Snapshot:
    """The configuration in force. Any database error leaves; a provider's unreadable key only leaves it without one.

    Read without a transaction, which would take SQLite's write lock: the version is compared before and after instead.
    """
    version = configuration_version()
    for _ in range(_TRIES):
        snapshot = _load(version)
        after = configuration_version()
        if after == version:
            break
        version = after
    return snapshot


def _load(version: int) -> Snapshot:
    organisation = organisation_current()
    rows = list(models.Provider.objects.alive())
    providers = {row.pk: provider_of(row) for row in rows}
    routes = _routes(rows, providers)
    prices = tuple(price_of_row(row) for row in prices_in_force(models.Price.objects.alive()))
    return Snapshot(
        version=version,
        routes=MappingProxyType(_by_every_name(routes)),
        providers=MappingProxyType({provider.name: provider for provider in providers.values()}),
        keys=MappingProxyType(_keys()),
        prices=prices,
        price_book=PriceBook(prices),
        budgets=budgets_in_force(),
        zone=ZoneInfo(organisation.time_zone),
        objectives=Objectives(
            organisation.availability_percent,
            organisation.fallback_success_percent,
            organisation.mean_latency_seconds,
            organisation.conversation_cost_usd,
        ),
        drills=drills_in_force(),
        workloads=workloads_in_force(),
        simple_rules=simple_rules_in_force(),
    )


def provider_of(row: models.Provider) -> Provider:
    """The row as the engine knows it, its key included."""
    return Provider(
        name=row.name,
        kind=Wire(row.kind),
        base_url=row.base_url,
        id=row.pk,
        api_key=_api_key_of(row),
        extra_headers=MappingProxyType(dict(row.extra_headers)),
        timeouts=Timeouts(**_overrides(row, _TIMEOUT_COLUMNS)),
        retry=RetryPolicy(**_overrides(row, _RETRY_COLUMNS)),
        retry_budget=RetryBudget(row.retry_budget_percent, row.retry_budget_floor_per_second),
        breaker=BreakerPolicy(row.breaker_failure_threshold, row.breaker_cooldown_seconds),
        forced_breaker=row.forced_breaker or None,
        max_in_flight=row.max_in_flight,
        max_queued=row.max_queued,
        queue_timeout_seconds=row.queue_timeout_seconds,
        enabled=row.enabled,
    )


def _api_key_of(row: models.Provider) -> str | None:
    """The provider's key from its variable or its encrypted column; None, with a line in the log, without one."""
    try:
        if (problem := api_key_env_problem(row.api_key_env)) is not None:
            logger.error("provider %s has no usable API key: api_key_env %s", row.name, problem)
            return None
        if row.api_key_env:
            return _key_of_variable(row)
        return row.stored_api_key()
    except (SecretUnreadable, ImproperlyConfigured) as error:
        logger.error("provider %s has no usable API key: %s", row.name, error)
        return None


def _key_of_variable(row: models.Provider) -> str | None:
    """Raises ImproperlyConfigured for a file that can't be read."""
    key = env_text(row.api_key_env)
    if not key and row.enabled:
        logger.warning(
            "provider %s has no API key: %s is not set here, so its calls will be turned down",
            row.name,
            row.api_key_env,
        )
    return key or None


def _overrides(row: Any, columns: Mapping[str, str]) -> dict[str, Any]:
    """The columns of `row` that are set, under the engine's names."""
    values = {name: getattr(row, column) for name, column in columns.items()}
    return {name: value for name, value in values.items() if value is not None}


def _routes(rows: Iterable[models.Provider], providers: Mapping[int, Provider]) -> list[Route]:
    usable = {row.pk: row for row in rows if row.enabled}
    targets: defaultdict[int, list[models.Target]] = defaultdict(list)
    for target in models.Target.objects.filter(route__archived_at=None, provider_id__in=usable).order_by(
        "position", "pk"
    ):
        targets[target.route_id].append(target)
    return [
        _route(row, [(t.simple, _target(t, usable[t.provider_id], providers[t.provider_id])) for t in targets[row.pk]])
        for row in models.Route.objects.alive().order_by("pk")
    ]


def _route(row: models.Route, targets: list[tuple[bool, Target]]) -> Route:
    return Route(
        name=row.name,
        targets=tuple(target for simple, target in targets if not simple),
        id=row.pk,
        aliases=tuple(row.aliases),
        simple_target=next((target for simple, target in targets if simple), None),
        simple_mode=row.simple_mode,
        deadline_seconds=row.deadline_seconds,
        max_output_tokens=row.max_output_tokens,
        stream_recovery=row.stream_recovery,
        store_content=row.store_content,
        store_content_days=row.store_content_days,
        cache=route_cache(row, targets),
        prompt_prefix=row.cache_prompt_prefix,
    )


def _target(row: models.Target, provider_row: models.Provider, provider: Provider) -> Target:
    traits = model_traits(provider.kind, row.model)
    timeouts = provider.timeouts
    if traits.reasoning and provider_row.first_token_timeout_seconds is None:
        timeouts = dataclasses.replace(timeouts, first_token_seconds=REASONING_FIRST_TOKEN_SECONDS)
    return Target(
        provider=provider,
        model=row.model,
        timeouts=dataclasses.replace(timeouts, **_overrides(row, _TIMEOUT_COLUMNS)),
        retry=dataclasses.replace(provider.retry, **_overrides(row, _RETRY_COLUMNS)),
        traits=traits,
    )


def _by_every_name(routes: list[Route]) -> dict[str, Route]:
    """Names win over aliases, older routes over newer ones, should rows ever disagree."""
    found: dict[str, Route] = {route.name: route for route in routes}
    for route in routes:
        for alias in route.aliases:
            found.setdefault(alias, route)
    return found


def _keys() -> dict[str, ApiKey]:
    """By hash; a rotated key also by its old one, which expires when the overlap is over."""
    rows = list(models.ApiKey.objects.alive().select_related("team").prefetch_related("routes"))
    replaced = {row.old_hash: dataclasses.replace(_key(row), expires_at=row.old_expires_at) for row in rows}
    replaced.pop("", None)
    return replaced | {row.hash: _key(row) for row in rows}


def _key(row: models.ApiKey) -> ApiKey:
    return ApiKey(
        id=row.pk,
        name=row.name,
        team_id=row.team_id,
        team_name=row.team.name if row.team else "",
        routes=None if row.all_routes else frozenset(route.name for route in row.routes.all() if not route.archived),
        role=row.role,
        expires_at=row.expires_at,
        disabled=row.disabled,
        requests_per_minute=row.requests_per_minute,
        tokens_per_minute=row.tokens_per_minute,
        max_parallel=row.max_parallel,
        direct_models=row.direct_models,
    )


def prices_in_force(rows: Iterable[models.Price]) -> list[models.Price]:
    """Overrides, and of the seeded versions those that begin before the first override of their model."""
    kept: list[models.Price] = []
    overridden_from: dict[tuple[str, str], datetime | None] = {}
    seeded: list[models.Price] = []
    for row in rows:
        if row.source == PriceSource.SEED:
            seeded.append(row)
            continue
        kept.append(row)
        key = (row.kind, row.model)
        first = overridden_from.get(key, row.valid_from)
        overridden_from[key] = None if first is None or row.valid_from is None else min(first, row.valid_from)
    return kept + [row for row in seeded if not _hidden(row, overridden_from)]


def _hidden(row: models.Price, overridden_from: Mapping[tuple[str, str], datetime | None]) -> bool:
    key = (row.kind, row.model)
    if key not in overridden_from:
        return False
    first = overridden_from[key]
    return first is None or (row.valid_from is not None and row.valid_from >= first)


def price_of_row(row: models.Price) -> Price:
    return Price(
        id=row.pk,
        kind=Wire(row.kind),
        model=row.model,
        input_per_mtok=row.input_per_mtok,
        cached_input_per_mtok=row.cached_input_per_mtok,
        cache_write_per_mtok=row.cache_write_per_mtok,
        cache_write_1h_per_mtok=row.cache_write_1h_per_mtok,
        output_per_mtok=row.output_per_mtok,
        batch_factor=row.batch_factor,
        free=row.free,
        valid_from=row.valid_from,
        reasoning_per_mtok=row.reasoning_per_mtok,
        long_context=_long_context(row),
        usd_per_thousand_web_searches=row.web_searches_per_thousand,
    )


def _long_context(row: models.Price) -> LongContext | None:
    above, input_price, output_price = row.long_context_above_tokens, row.long_input_per_mtok, row.long_output_per_mtok
    if above is None or input_price is None or output_price is None:
        return None
    return LongContext(
        above_input_tokens=above,
        input_per_mtok=input_price,
        output_per_mtok=output_price,
        cached_input_per_mtok=row.long_cached_input_per_mtok,
        cache_write_per_mtok=row.long_cache_write_per_mtok,
        cache_write_1h_per_mtok=row.long_cache_write_1h_per_mtok,
    )


def budgets_in_force() -> tuple[Budget, ...]:
    """Budgets in use, each with the raises that haven't ended."""
    raises: defaultdict[int, list[LimitRaise]] = defaultdict(list)
    for row in models.BudgetRaise.objects.filter(until__gt=timezone.now()):
        raises[row.budget_id].append(LimitRaise(row.amount_usd, row.until))
    return tuple(_budget(row, tuple(raises[row.pk])) for row in models.Budget.objects.alive())


def _budget(row: models.Budget, raises: tuple[LimitRaise, ...]) -> Budget:
    return Budget(
        id=row.pk,
        name=row.name,
        scope=Scope(row.scope),
        subject=None if row.subject_id is None else str(row.subject_id),
        window=int(row.window) if row.window.isdecimal() else Window(row.window),
        limit_usd=row.limit_usd,
        blocking=row.enforcement == Enforcement.BLOCK,
        alert_at_percent=tuple(row.alert_at_percent),
        shrink_output=row.shrink_output,
        step_down_at_percent=row.step_down_at_percent,
        raises=raises,
    )
