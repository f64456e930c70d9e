"""Configuration rows as entries of the file, and entries as rows: one pair of functions for each section."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any

from gateway.crypto import SecretUnreadable, decrypt
from gateway.models import AlertChannel, ApiKey, Budget, Organisation, Price, Provider, Route, Target, Team, Workload
from gateway.models.budget import SUBJECT_COLUMNS
from gateway.models.route import TARGET_OVERRIDES
from gateway.models.words import PriceSource
from gateway.services import configuration_entries as entries
from gateway.services.keys import key_hash, key_prefix


@dataclass(frozen=True, slots=True)
class Section:
    """How the rows of one section are read, written and told apart. `rows` are those in use, few queries in all.

    `release` lets a row that is about to change let go of what another row may be given.
    """

    name: str
    model: type[Any]
    rows: Callable[[], Iterable[Any]]
    entry: Callable[[Any], Any]
    write: Callable[[Any, Any], None]
    key: Callable[[Any], Any] = lambda entry: entry.name
    title: Callable[[Any], str] = lambda entry: str(entry.name)
    release: Callable[[Any], None] = lambda row: None


_SAME_IN_PROVIDER = (
    "name",
    "kind",
    "base_url",
    "first_token_timeout_seconds",
    "attempt_timeout_seconds",
    "connect_timeout_seconds",
    "stall_timeout_seconds",
    "stream_max_seconds",
    "retries",
    "backoff_seconds",
    "backoff_max_seconds",
    "retry_after_max_seconds",
    "max_in_flight",
    "max_queued",
    "queue_timeout_seconds",
    "enabled",
)
_SAME_IN_ROUTE = (
    "name",
    "simple_mode",
    "deadline_seconds",
    "max_output_tokens",
    "stream_recovery",
    "store_content",
    "store_content_days",
)
_SAME_IN_KEY = (
    "name",
    "role",
    "expires_at",
    "disabled",
    "requests_per_minute",
    "tokens_per_minute",
    "max_parallel",
    "direct_models",
)
_SAME_IN_PRICE = (
    "kind",
    "model",
    "input_per_mtok",
    "cached_input_per_mtok",
    "cache_write_per_mtok",
    "cache_write_1h_per_mtok",
    "output_per_mtok",
    "reasoning_per_mtok",
    "web_searches_per_thousand",
    "batch_factor",
    "free",
    "valid_from",
)
_LONG_CONTEXT = {
    "above_input_tokens": "long_context_above_tokens",
    "input_per_mtok": "long_input_per_mtok",
    "cached_input_per_mtok": "long_cached_input_per_mtok",
    "cache_write_per_mtok": "long_cache_write_per_mtok",
    "cache_write_1h_per_mtok": "long_cache_write_1h_per_mtok",
    "output_per_mtok": "long_output_per_mtok",
}
_SAME_IN_BUDGET = (
    "name",
    "scope",
    "window",
    "limit_usd",
    "enforcement",
    "step_down_at_percent",
    "shrink_output",
)
OBJECTIVE_FIELDS = tuple(field.name for field in fields(entries.ObjectivesEntry))


def _copied(source: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(source, name) for name in names}


def _assign(row: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)


def _opened(encrypted: str) -> str | None:
    """A stored secret; one that can't be read counts as none, so that applying a file writes it anew."""
    try:
        return decrypt(encrypted) if encrypted else None
    except SecretUnreadable:
        return None


def provider_entry(row: Provider) -> entries.ProviderEntry:
    return entries.ProviderEntry(
        api_key_env=row.api_key_env or None,
        api_key=_opened(row.api_key_encrypted),
        extra_headers=tuple(sorted(row.extra_headers.items())),
        retry_budget=entries.RetryBudgetEntry(
            percent=row.retry_budget_percent, floor_per_second=row.retry_budget_floor_per_second
        ),
        breaker=entries.BreakerEntry(
            failure_threshold=row.breaker_failure_threshold, cooldown_seconds=row.breaker_cooldown_seconds
        ),
        health_probe=entries.HealthProbeEntry(
            every_seconds=row.health_probe_every_seconds, model=row.health_probe_model or None
        ),
        **_copied(row, _SAME_IN_PROVIDER),
    )


def provider_write(row: Provider, entry: entries.ProviderEntry) -> None:
    _assign(row, _copied(entry, _SAME_IN_PROVIDER))
    row.api_key_env = entry.api_key_env or ""
    if _opened(row.api_key_encrypted) != entry.api_key:
        row.set_api_key(entry.api_key or "")
    if not entry.api_key:
        row.api_key_encrypted = ""
    row.extra_headers = dict(entry.extra_headers)
    row.retry_budget_percent = entry.retry_budget.percent
    row.retry_budget_floor_per_second = entry.retry_budget.floor_per_second
    row.breaker_failure_threshold = entry.breaker.failure_threshold
    row.breaker_cooldown_seconds = entry.breaker.cooldown_seconds
    row.health_probe_every_seconds = entry.health_probe.every_seconds
    row.health_probe_model = entry.health_probe.model or ""
    row.save()


def team_entry(row: Team) -> entries.TeamEntry:
    return entries.TeamEntry(name=row.name)


def team_write(row: Team, entry: entries.TeamEntry) -> None:
    row.name = entry.name
    row.save()


def route_rows() -> Iterable[Route]:
    return Route.objects.alive().prefetch_related("targets__provider")


def route_entry(row: Route) -> entries.RouteEntry:
    targets = sorted(row.targets.all(), key=lambda target: (target.position, target.pk))
    return entries.RouteEntry(
        aliases=tuple(row.aliases),
        targets=tuple(_target_entry(target) for target in targets if not target.simple),
        simple_target=next((_target_entry(target) for target in targets if target.simple), None),
        cache=entries.CacheEntry(
            enabled=row.cache_enabled,
            ttl_seconds=row.cache_ttl_seconds,
            scope=row.cache_scope,
            prompt_prefix=row.cache_prompt_prefix,
        ),
        **_copied(row, _SAME_IN_ROUTE),
    )


def _target_entry(row: Target) -> entries.TargetEntry:
    return entries.TargetEntry(provider=row.provider.name, model=row.model, **_copied(row, TARGET_OVERRIDES))


def route_write(row: Route, entry: entries.RouteEntry) -> None:
    _assign(row, _copied(entry, _SAME_IN_ROUTE))
    row.aliases = list(entry.aliases)
    row.cache_enabled, row.cache_ttl_seconds = entry.cache.enabled, entry.cache.ttl_seconds
    row.cache_scope, row.cache_prompt_prefix = entry.cache.scope, entry.cache.prompt_prefix
    row.save()
    providers = {provider.name: provider for provider in Provider.objects.alive()}
    wanted = [(position, False, target) for position, target in enumerate(entry.targets)]
    if entry.simple_target:
        wanted.append((0, True, entry.simple_target))
    row.targets.all().delete()  # nothing refers to targets by id: the ledger keeps their names
    Target.objects.bulk_create(
        Target(
            route=row,
            position=position,
            simple=simple,
            provider=providers[target.provider],
            model=target.model,
            **_copied(target, TARGET_OVERRIDES),
        )
        for position, simple, target in wanted
    )


def api_key_rows() -> Iterable[ApiKey]:
    return ApiKey.objects.alive().select_related("team").prefetch_related("routes")


def api_key_entry(row: ApiKey) -> entries.ApiKeyEntry:
    routes = None if row.all_routes else tuple(sorted(route.name for route in row.routes.all() if not route.archived))
    return entries.ApiKeyEntry(
        key_hash=row.hash,
        key_prefix=row.prefix,
        team=row.team.name if row.team else None,
        routes=routes,
        **_copied(row, _SAME_IN_KEY),
    )


def api_key_release(row: ApiKey) -> None:
    """Two keys may swap their texts, and no two ever share one."""
    row.hash = f"released by {row.pk}"
    row.save(update_fields=["hash"])


def api_key_write(row: ApiKey, entry: entries.ApiKeyEntry) -> None:
    _assign(row, _copied(entry, _SAME_IN_KEY))
    if row.hash != entry.key_hash:  # the file's key is the only one: no overlap with another
        row.old_hash, row.old_prefix, row.overlap_until = "", "", None
    row.hash, row.prefix = entry.key_hash or "", entry.key_prefix
    row.team = Team.objects.alive().get(name=entry.team) if entry.team else None
    row.all_routes = entry.routes is None
    row.save()
    row.routes.set(Route.objects.alive().filter(name__in=entry.routes or ()))


def price_rows() -> Iterable[Price]:
    return Price.objects.alive().filter(source=PriceSource.OVERRIDE)


def price_entry(row: Price) -> entries.PriceEntry:
    long = None
    if row.long_context_above_tokens is not None:
        long = entries.LongContextEntry(**{name: getattr(row, column) for name, column in _LONG_CONTEXT.items()})
    return entries.PriceEntry(note=row.note or None, long_context=long, **_copied(row, _SAME_IN_PRICE))


def price_write(row: Price, entry: entries.PriceEntry) -> None:
    """Always a new version; the one it replaces is archived and keeps explaining what was charged at it."""
    if row.pk is not None:
        row.archive()
        row.save(update_fields=["archived_at"])
    long = {column: getattr(entry.long_context, name) for name, column in _LONG_CONTEXT.items() if entry.long_context}
    Price.objects.create(note=entry.note or "", source=PriceSource.OVERRIDE, **long, **_copied(entry, _SAME_IN_PRICE))


def budget_rows() -> Iterable[Budget]:
    return Budget.objects.alive().select_related("team", "api_key", "route", "provider")


def budget_entry(row: Budget) -> entries.BudgetEntry:
    return entries.BudgetEntry(
        subject=row.subject.name if row.subject else None,
        alert_at_percent=tuple(row.alert_at_percent),
        **_copied(row, _SAME_IN_BUDGET),
    )


_SUBJECT_MODELS: dict[str, type[Any]] = {"team": Team, "api_key": ApiKey, "route": Route, "provider": Provider}


def budget_write(row: Budget, entry: entries.BudgetEntry) -> None:
    _assign(row, _copied(entry, _SAME_IN_BUDGET))
    row.alert_at_percent = list(entry.alert_at_percent)
    for scope, column in SUBJECT_COLUMNS.items():
        named = entry.subject if scope == entry.scope else None
        setattr(row, column, _SUBJECT_MODELS[column].objects.alive().get(name=named) if named else None)
    row.save()


def workload_rows() -> Iterable[Workload]:
    return Workload.objects.alive().select_related("api_key", "team")


def workload_entry(row: Workload) -> entries.WorkloadEntry:
    return entries.WorkloadEntry(
        name=row.name,
        tier=row.tier,
        api_key=row.api_key.name if row.api_key else None,
        team=row.team.name if row.team else None,
        tag=row.tag or None,
        system_prompt=row.system_prompt or None,
    )


def workload_write(row: Workload, entry: entries.WorkloadEntry) -> None:
    row.name, row.tier = entry.name, entry.tier
    row.api_key = ApiKey.objects.alive().get(name=entry.api_key) if entry.api_key else None
    row.team = Team.objects.alive().get(name=entry.team) if entry.team else None
    row.tag, row.system_prompt = entry.tag or "", entry.system_prompt or ""
    row.save()


def alert_channel_entry(row: AlertChannel) -> entries.AlertChannelEntry:
    return entries.AlertChannelEntry(name=row.name, url=_opened(row.url_encrypted), events=tuple(row.events))


def alert_channel_write(row: AlertChannel, entry: entries.AlertChannelEntry) -> None:
    row.name, row.events = entry.name, list(entry.events)
    row.set_url(entry.url or "")
    row.save()


def objectives_entry(row: Organisation) -> entries.ObjectivesEntry:
    return entries.ObjectivesEntry(**_copied(row, OBJECTIVE_FIELDS))


def alerts_entry(row: Organisation) -> entries.AlertsEntry:
    return entries.AlertsEntry(**_copied(row, [field.name for field in fields(entries.AlertsEntry)]))


def retention_entry(row: Organisation) -> entries.RetentionEntry:
    return entries.RetentionEntry(completions_days=row.completions_days)


def canonical(entry: Any) -> Any:
    """The one form in which entries are compared: secrets opened, keys hashed, zeros written out.

    Raises SecretUnreadable for an encrypted secret of another installation.
    """
    if isinstance(entry, entries.ProviderEntry) and entry.api_key_encrypted:
        return replace(entry, api_key=decrypt(entry.api_key_encrypted), api_key_encrypted=None)
    if isinstance(entry, entries.AlertChannelEntry) and entry.url_encrypted:
        return replace(entry, url=decrypt(entry.url_encrypted), url_encrypted=None)
    if isinstance(entry, entries.ApiKeyEntry):
        routes = None if entry.routes is None else tuple(sorted(set(entry.routes)))
        if entry.key is not None:
            return replace(
                entry, key=None, key_hash=key_hash(entry.key), key_prefix=key_prefix(entry.key), routes=routes
            )
        return replace(entry, routes=routes)
    if isinstance(entry, entries.PriceEntry) and entry.free:
        return replace(entry, input_per_mtok=Decimal(0), output_per_mtok=Decimal(0))
    return entry


# In the order in which they are written: what is referred to comes first.
SECTIONS: tuple[Section, ...] = (
    Section("providers", Provider, Provider.objects.alive, provider_entry, provider_write),
    Section("teams", Team, Team.objects.alive, team_entry, team_write),
    Section("routes", Route, route_rows, route_entry, route_write),
    Section("api_keys", ApiKey, api_key_rows, api_key_entry, api_key_write, release=api_key_release),
    Section(
        "prices",
        Price,
        price_rows,
        price_entry,
        price_write,
        key=lambda entry: (entry.kind, entry.model, entry.valid_from),
        title=lambda entry: f"{entry.kind} {entry.model}",
    ),
    Section("budgets", Budget, budget_rows, budget_entry, budget_write),
    Section("workloads", Workload, workload_rows, workload_entry, workload_write),
    Section("alert_channels", AlertChannel, AlertChannel.objects.alive, alert_channel_entry, alert_channel_write),
)


def section_of(model: type[Any]) -> Section:
    """The section that rows of this model belong to."""
    return next(section for section in SECTIONS if section.model is model)


@dataclass(frozen=True, slots=True)
class OrganisationEntry:
    """The organisation's row as history compares it."""

    time_zone: str
    objectives: entries.ObjectivesEntry
    alerts: entries.AlertsEntry
    retention: entries.RetentionEntry


def organisation_entry(row: Organisation) -> OrganisationEntry:
    return OrganisationEntry(row.time_zone, objectives_entry(row), alerts_entry(row), retention_entry(row))
