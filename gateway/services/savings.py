"""What was saved, by route and team: cached answers, cheap model, batches, providers' prompt caching. From rows.

- Cache: what the answers that were given again had cost to make; exact.
- Cheap model: an estimate (`services/simple_report.py`).
- Batches: what their lines would have cost at the full price, less what they did at the provider's batch price; exact.
- Prompt caching: tokens that providers read from their caches at their lower price, less what writing them cost above
  the input price; at the list prices the calls were charged at. May be negative: writes that nobody read.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db.models import F, Q, QuerySet

from gateway.ledger.prices import Price as LedgerPrice
from gateway.models import Attempt, BatchLine, Completion, Price
from gateway.models.completion import PromptCached
from gateway.selectors.usage_cells import EVERYTHING, UsageFilter
from gateway.selectors.usage_read import usage_by
from gateway.selectors.windows import TimeWindow
from gateway.services.simple_report import MOST_DECISIONS, simple_report
from gateway.services.snapshot_load import price_of_row

MOST_CALLS = MOST_DECISIONS
_ZERO = Decimal(0)
_MILLION = Decimal(1_000_000)
_PICO_USD = Decimal("1e-12")
_Owner = tuple[str, str]  # route and team
_CACHE_TOKENS = ("cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens")


@dataclass(slots=True)
class Saved:
    """US dollars. `hits` are answers from the cache, `batch_lines` were answered in a provider's batch, `cached_tokens`
    were read from providers' caches."""

    cache_usd: Decimal = _ZERO
    cheap_usd: Decimal = _ZERO
    batch_usd: Decimal = _ZERO
    prompt_usd: Decimal = _ZERO
    hits: int = 0
    batch_lines: int = 0
    cached_tokens: int = 0

    @property
    def total_usd(self) -> Decimal:
        return self.cache_usd + self.cheap_usd + self.batch_usd + self.prompt_usd

    def add(self, other: Saved) -> None:
        self.cache_usd += other.cache_usd
        self.cheap_usd += other.cheap_usd
        self.batch_usd += other.batch_usd
        self.batch_lines += other.batch_lines
        self.prompt_usd += other.prompt_usd
        self.hits += other.hits
        self.cached_tokens += other.cached_tokens

    @property
    def anything(self) -> bool:
        return bool(self.hits or self.batch_lines or self.cached_tokens or self.total_usd)


@dataclass(frozen=True, slots=True)
class Savings:
    """`complete`: every decision and every call of the time was read; the cache is always complete."""

    whole: Saved
    by_route: tuple[tuple[str, Saved], ...]
    by_team: tuple[tuple[str, Saved], ...]
    complete: bool


def savings(window: TimeWindow, *, where: UsageFilter = EVERYTHING) -> Savings:
    """The largest first. At most seventeen queries."""
    found: defaultdict[_Owner, Saved] = defaultdict(Saved)
    for (route, team), usage in usage_by(window, "route_name", "team_name", where=where).items():
        found[route, team].cache_usd += usage.saved_usd
        found[route, team].hits += usage.cache_hits
    cheap = simple_report(window, where=where)
    for one in cheap.routes:
        for team, usd in one.saved_by_team.items():
            found[one.route, team].cheap_usd += usd
    complete = _add_prompt_caching(found, window, where) & _add_batches(found, window, where)
    whole = Saved()
    for saved in found.values():
        whole.add(saved)
    return Savings(whole, _summed(found, 0), _summed(found, 1), complete and cheap.complete)


def _summed(found: dict[_Owner, Saved], part: int) -> tuple[tuple[str, Saved], ...]:
    sums: defaultdict[str, Saved] = defaultdict(Saved)
    for owner, saved in found.items():
        sums[owner[part]].add(saved)
    kept = [(name, saved) for name, saved in sums.items() if saved.anything]
    return tuple(sorted(kept, key=lambda row: (-row[1].total_usd, row[0])))


def _add_batches(found: dict[_Owner, Saved], window: TimeWindow, where: UsageFilter) -> bool:
    """Whether every line was read. Two queries."""
    inside = Q(completion__created_at__gte=window.start, completion__created_at__lt=window.end)
    lines = BatchLine.objects.exclude(job=None).values("completion_id")
    paid = Q(completion_id__in=lines, cost_usd__gt=0, price_id__isnull=False)
    calls = Attempt.objects.filter(inside, paid, where.of_attempts())
    columns = ("completion__route_name", "completion__team_name", "price_id", "cost_usd")
    # By time, which no index has: in the order of ids all attempts would be read for the few that are of batches.
    rows = list(calls.order_by("-started_at", "-pk").values_list(*columns)[:MOST_CALLS])
    factors = dict(Price.objects.filter(pk__in={row[2] for row in rows}).values_list("pk", "batch_factor"))
    for route, team, price_id, usd in rows:
        saved = found[route, team]
        saved.batch_lines += 1
        saved.batch_usd += batch_saved_usd(usd, factors.get(price_id, Decimal(1)))
    return len(rows) < MOST_CALLS


def batch_saved_usd(cost_usd: Decimal, batch_factor: Decimal) -> Decimal:
    """What a line would have cost at the full price, less what it did. Nothing where batches are free."""
    return (cost_usd / batch_factor - cost_usd).quantize(_PICO_USD) if batch_factor else _ZERO


def _add_prompt_caching(found: dict[_Owner, Saved], window: TimeWindow, where: UsageFilter) -> bool:
    """Whether every request's calls were read. Three queries."""
    requests = _prompt_cached(window, replace(where, provider=None, model=None))
    used = Q(cached_input_tokens__gt=0) | Q(cache_write_tokens__gt=0)
    calls = Attempt.objects.filter(where.of_attempts(), used, completion_id__in=requests, price_id__isnull=False)
    columns = ("completion__route_name", "completion__team_name", "price_id", "input_tokens", *_CACHE_TOKENS)
    rows = list(calls.values_list(*columns))
    prices = {row.pk: price_of_row(row) for row in Price.objects.filter(pk__in={row[2] for row in rows})}
    for route, team, price_id, input_tokens, read, written, written_1h in rows:
        price = prices.get(price_id)
        found[route, team].cached_tokens += read
        if price is not None:
            found[route, team].prompt_usd += prompt_saved_usd(price, input_tokens, read, written, written_1h)
    return requests.count() < MOST_CALLS


def _prompt_cached(window: TimeWindow, where: UsageFilter) -> QuerySet[Completion, Any]:
    """The newest requests of which a provider's cache was read or written."""
    cached = PromptCached(F("cached_input_tokens"), F("cache_write_tokens"))
    inside = Q(created_at__gte=window.start, created_at__lt=window.end)
    found = Completion.objects.filter(cached, inside, where.of_completions()).order_by("-created_at")
    return found.values("pk")[:MOST_CALLS]


def prompt_saved_usd(price: LedgerPrice, input_tokens: int, read: int, written: int, written_1h: int) -> Decimal:
    """What one call's cached tokens would have cost as plain input, less what they did."""
    if price.free:
        return _ZERO
    rates = price.rates(input_tokens)
    plain = rates.input_per_mtok
    saved = (
        read * (plain - rates.cached_input)
        + (written - written_1h) * (plain - rates.cache_write)
        + written_1h * (plain - rates.cache_write_1h)
    )
    return saved / _MILLION
