"""What the cheap model for simple queries did on each route: share sent, money saved, harm against random. From rows.

Of a stretch of time the newest `MOST_DECISIONS` decisions are read. What one saved is an estimate: what the strong
model would have cost for the tokens that the cheap one used, less what the request did cost; a request that the strong
model had to answer after all has cost the cheap call on top.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.fields.json import KT

from gateway.engine.proportions import Share
from gateway.engine.tier import Reason
from gateway.engine.usage import Usage
from gateway.engine.words import CompletionStatus, FinishReason, Wire
from gateway.ledger.prices import PriceBook, cost_usd
from gateway.models import Attempt, Completion, Feedback, Price, Provider, Route
from gateway.models.completion import DecidedOnTier
from gateway.models.feedback import BAD
from gateway.selectors.usage_cells import EVERYTHING, UsageFilter
from gateway.selectors.windows import TimeWindow
from gateway.services.simple import Choice
from gateway.services.snapshot_load import price_of_row, prices_in_force

MOST_DECISIONS = 3_000
MOST_LINKED = 8
_ZERO = Decimal(0)
_CHEAP_DIDNT_DO = (FinishReason.LENGTH.value, FinishReason.REFUSAL.value)
_TOKENS = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
_COLUMNS = (
    *(
        "pk",
        "created_at",
        "route_name",
        "team_name",
        "provider",
        "model",
        "status",
        "finish_reason",
        "fell_back",
        "cost_usd",
    ),
    *_TOKENS,
)
_STORED = ("choice", "reason", "tier", "target", "instead_of", "mode")


@dataclass(slots=True)
class Group:
    """Requests that were treated alike. `trouble`: the first target asked failed, refused or was cut off by the length
    limit, so that another one answered or nobody better did."""

    requests: int = 0
    settled: int = 0
    trouble: int = 0
    rated: int = 0
    thumbs_down: int = 0

    @property
    def troubled(self) -> Share:
        return Share(self.trouble, self.settled)

    @property
    def disliked(self) -> Share:
        return Share(self.thumbs_down, self.rated)


@dataclass(slots=True)
class RouteReport:
    """`mode` and `route_id` are those of now; "" and None where the route is gone or has no cheap target any more.

    `diced` are the requests that a percentage sent; `control` those judged simple that it left with the strong model:
    who is in which is chance, so the two may be compared. `saved_usd` may
    be negative; `unpriced` requests have no price to estimate by and are left out of it. `would_save_usd` is the same
    for requests that were only watched.
    """

    route: str
    mode: str = ""
    route_id: int | None = None
    decisions: int = 0
    sent: Group = field(default_factory=Group)
    diced: Group = field(default_factory=Group)
    control: Group = field(default_factory=Group)
    choices: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    saved_usd: Decimal = _ZERO
    saved_by_team: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    would_save_usd: Decimal = _ZERO
    unpriced: int = 0
    disliked: list[str] = field(default_factory=list)
    escalated: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SimpleReport:
    """`complete`: every decision of the time was read."""

    routes: tuple[RouteReport, ...]
    complete: bool = True

    @property
    def saved_usd(self) -> Decimal:
        return sum((route.saved_usd for route in self.routes), _ZERO)


def simple_report(window: TimeWindow, *, where: UsageFilter = EVERYTHING) -> SimpleReport:
    """Routes with a cheap target or a decision in the window, by name. Six queries."""
    rows = _decided(window, where)
    found = list(rows.values(*_COLUMNS, *(f"simple_{name}" for name in _STORED)))
    reports = {
        row.name: RouteReport(row.name, mode=row.simple_mode, route_id=row.pk)
        for row in Route.objects.alive().filter(targets__simple=True).order_by("name")
        if where.route in (None, row.name)
    }
    worth = _Worth(_prices(), dict(Provider.objects.order_by("pk").values_list("name", "kind")), _costs_elsewhere(rows))
    thumbs = _thumbs(rows)
    for row in found:
        report = reports.setdefault(row["route_name"], RouteReport(row["route_name"]))
        _count(report, row, thumbs.get(row["pk"], 0), worth)
    return SimpleReport(tuple(reports[name] for name in sorted(reports)), len(found) < MOST_DECISIONS)


def _decided(window: TimeWindow, where: UsageFilter) -> QuerySet[Completion]:
    rows = Completion.objects.filter(where.of_completions(), created_at__gte=window.start, created_at__lt=window.end)
    stored = {f"simple_{name}": KT(f"decision__simple__{name}") for name in _STORED}
    return rows.filter(DecidedOnTier(F("decision"))).annotate(**stored).order_by("-created_at")[:MOST_DECISIONS]


def _prices() -> PriceBook:
    return PriceBook(price_of_row(row) for row in prices_in_force(Price.objects.alive()))


def _costs_elsewhere(rows: QuerySet[Completion]) -> dict[tuple[str, str], Decimal]:
    """By request and target: what calls cost that weren't made to the target that answered."""
    calls = Attempt.objects.filter(completion_id__in=rows.values("pk"), cost_usd__gt=0).exclude(
        provider=F("completion__provider"), model=F("completion__model")
    )
    costs: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for request_id, provider, model, usd in calls.values_list("completion_id", "provider", "model", "cost_usd"):
        costs[request_id, f"{provider}/{model}"] += usd
    return costs


def _thumbs(rows: QuerySet[Completion]) -> dict[str, int]:
    """The worst word on each request that has one."""
    worst: dict[str, int] = {}
    for request_id, score in Feedback.objects.filter(completion_id__in=rows.values("pk")).values_list(
        "completion_id", "score"
    ):
        worst[request_id] = min(score, worst.get(request_id, score))
    return worst


@dataclass(frozen=True, slots=True)
class _Worth:
    """What requests would have cost at other models. `elsewhere_usd`: see `_costs_elsewhere`."""

    prices: PriceBook
    kinds: Mapping[str, str]
    elsewhere_usd: Mapping[tuple[str, str], Decimal]

    def saved_usd(self, row: Mapping[str, Any]) -> Decimal | None:
        """Of a request that was sent to the cheap model; None where the strong one has no price. Where the cheap answer
        was given because nothing better came, nothing is claimed."""
        if _answered_by(row) != row["simple_target"]:
            return -self.elsewhere_usd.get((row["pk"], row["simple_target"]), _ZERO)
        if row["fell_back"]:
            return _ZERO
        strong = self._at(row, row["simple_instead_of"])
        return None if strong is None else strong - row["cost_usd"]

    def would_save_usd(self, row: Mapping[str, Any]) -> Decimal | None:
        """Of a request that was only watched."""
        cheap = self._at(row, row["simple_target"])
        return None if cheap is None else row["cost_usd"] - cheap

    def _at(self, row: Mapping[str, Any], target: str) -> Decimal | None:
        """The row's tokens at the price of `target`, as it was at the time."""
        provider, _, model = target.partition("/")
        at: datetime = row["created_at"]
        kind = self.kinds.get(provider)
        price = None if kind is None else self.prices.find(Wire(kind), model, at)
        return None if price is None else cost_usd(price, Usage(**{name: row[name] for name in _TOKENS}))


def _answered_by(row: Mapping[str, Any]) -> str:
    return f"{row['provider']}/{row['model']}"


def _count(report: RouteReport, row: Mapping[str, Any], thumb: int, worth: _Worth) -> None:
    choice, reason = row["simple_choice"], row["simple_reason"]
    report.decisions += 1
    report.choices[choice] += 1
    report.reasons[reason, row["simple_tier"]] += 1
    by_chance = row["simple_mode"].endswith("%") and reason != Reason.CALLER
    for group in _groups(report, choice, by_chance):
        _add(group, row, thumb)
    if choice == Choice.SENT:
        if _in_trouble(row) and len(report.escalated) < MOST_LINKED:
            report.escalated.append(row["pk"])
        if thumb == BAD and len(report.disliked) < MOST_LINKED:
            report.disliked.append(row["pk"])
    if row["status"] == CompletionStatus.ANSWERED:
        _add_worth(report, row, worth)


def _groups(report: RouteReport, choice: str, by_chance: bool) -> Iterable[Group]:
    if choice == Choice.SENT:
        return (report.sent, report.diced) if by_chance else (report.sent,)
    return (report.control,) if choice == Choice.KEPT else ()


def _add(group: Group, row: Mapping[str, Any], thumb: int) -> None:
    group.requests += 1
    group.rated += thumb != 0
    group.thumbs_down += thumb == BAD
    if row["status"] in (CompletionStatus.ANSWERED, CompletionStatus.FAILED):
        group.settled += 1
        group.trouble += _in_trouble(row)


def _in_trouble(row: Mapping[str, Any]) -> bool:
    failed = row["status"] == CompletionStatus.FAILED
    return bool(failed or row["fell_back"] or row["finish_reason"] in _CHEAP_DIDNT_DO)


def _add_worth(report: RouteReport, row: Mapping[str, Any], worth: _Worth) -> None:
    choice = row["simple_choice"]
    if choice == Choice.SENT:
        usd = worth.saved_usd(row)
        report.saved_usd += usd or _ZERO
        report.saved_by_team[row["team_name"]] += usd or _ZERO
        report.unpriced += usd is None
    elif choice == Choice.SHADOW:
        report.would_save_usd += worth.would_save_usd(row) or _ZERO
