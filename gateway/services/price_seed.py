"""Fill the price book from the data that the `genai-prices` package carries. Works offline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from gateway.engine.words import Wire
from gateway.models import Price
from gateway.models.words import PriceSource
from gateway.services.configuration import configuration_changed, configuration_lock

_TOKEN_PRICES = {
    "input_mtok": "input_per_mtok",
    "cache_read_mtok": "cached_input_per_mtok",
    "cache_write_mtok": "cache_write_per_mtok",
    "cache_write_1h_mtok": "cache_write_1h_per_mtok",
    "output_mtok": "output_per_mtok",
}
_LONG_PRICES = {key: f"long_{column}" for key, column in _TOKEN_PRICES.items()}
# Charged per use of a provider's own tool, not for tokens.
_WEB_SEARCHES = "web_searches_kcount"
_UNCOUNTED_TOOLS = frozenset({"storage_searches_kcount"})
_TOOL_PRICES = _UNCOUNTED_TOOLS | {_WEB_SEARCHES}
_BATCH_FACTOR = Decimal("0.5")  # both providers' rule, where the data names no batch price
PRICE_COLUMNS = (
    *_TOKEN_PRICES.values(),
    "long_context_above_tokens",
    *_LONG_PRICES.values(),
    "web_searches_per_thousand",
    "batch_factor",
    "free",
)
_COLUMNS = (*PRICE_COLUMNS, "note")


@dataclass(frozen=True, slots=True)
class SeedPrice:
    """One version of a model's list price, in USD per million tokens and per thousand web searches."""

    kind: str
    model: str
    valid_from: datetime | None
    input_per_mtok: Decimal
    cached_input_per_mtok: Decimal | None
    cache_write_per_mtok: Decimal | None
    cache_write_1h_per_mtok: Decimal | None
    output_per_mtok: Decimal
    long_context_above_tokens: int | None
    long_input_per_mtok: Decimal | None
    long_cached_input_per_mtok: Decimal | None
    long_cache_write_per_mtok: Decimal | None
    long_cache_write_1h_per_mtok: Decimal | None
    long_output_per_mtok: Decimal | None
    web_searches_per_thousand: Decimal | None
    batch_factor: Decimal
    free: bool
    note: str


@dataclass(frozen=True, slots=True)
class Seeded:
    """What seeding did: models with a first price, and models whose list price has changed."""

    added: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeedStep:
    """A list price that isn't in the book yet, and the version it takes the place of (None: there is none)."""

    price: SeedPrice
    row: Price | None

    @property
    def title(self) -> str:
        since = f" from {self.price.valid_from:%Y-%m-%d}" if self.price.valid_from else ""
        return f"{self.price.kind} {self.price.model}{since}"


@transaction.atomic
def prices_seed(
    models: Iterable[tuple[str, str]] = (), *, dry_run: bool = False, only_new_models: bool = False
) -> Seeded:
    """Insert what is missing or has changed; a changed version replaces its predecessor, which is archived.

    `models` are further (kind, model) in use: their dated or regional names are looked up by the data's rules. With
    `only_new_models` a model that has list prices keeps them: changes wait until somebody has seen them.
    """
    configuration_lock()
    steps = seed_steps(models)
    if only_new_models:
        held = set(_seeded_rows().values_list("kind", "model"))
        steps = [step for step in steps if (step.price.kind, step.price.model) not in held]
    if not dry_run:
        seed_write(steps)
    added = tuple(step.title for step in steps if step.row is None)
    return Seeded(added, tuple(step.title for step in steps if step.row is not None))


def seed_steps(models: Iterable[tuple[str, str]] = ()) -> list[SeedStep]:
    """What differs between the installed price list and the book."""
    wanted = {(price.kind, price.model, price.valid_from): price for price in _known_prices(models)}
    current = {(row.kind, row.model, row.valid_from): row for row in _seeded_rows()}
    steps = (SeedStep(price, current.get(key)) for key, price in wanted.items())
    return [step for step in steps if step.row is None or not _same(step.row, step.price)]


def seed_write(steps: Iterable[SeedStep]) -> None:
    """In the caller's transaction, which holds the configuration's lock."""
    steps = list(steps)
    if steps:
        Price.objects.filter(pk__in=[step.row.pk for step in steps if step.row]).update(archived_at=timezone.now())
        Price.objects.bulk_create(_row(step.price) for step in steps)
        configuration_changed()


def _seeded_rows() -> Any:
    return Price.objects.alive().filter(source=PriceSource.SEED)


def _row(price: SeedPrice) -> Price:
    values = {name: getattr(price, name) for name in _COLUMNS}
    return Price(kind=price.kind, model=price.model, valid_from=price.valid_from, source=PriceSource.SEED, **values)


def _same(row: Price, price: SeedPrice) -> bool:
    return all(getattr(row, name) == getattr(price, name) for name in _COLUMNS)


def _known_prices(models: Iterable[tuple[str, str]]) -> Iterator[SeedPrice]:
    # Imported when needed: the package's data takes a third of a second to load.
    from genai_prices.data import providers

    for provider in providers:
        if provider.id not in set(Wire):
            continue
        for model in provider.models:
            for name in _exact_names(model):
                yield from _versions(provider.id, name, model)
        for kind, name in models:
            found = provider.find_model(name) if kind == provider.id else None
            if found is not None:
                yield from _versions(kind, name, found)


def _exact_names(model: Any) -> Iterator[str]:
    """The model's id and every name its matching rule spells out in full."""
    yield model.id
    clauses = getattr(model.match, "or_", [model.match])
    for clause in clauses:
        name = getattr(clause, "equals", None)
        if name and name != model.id:
            yield name


def _versions(kind: str, name: str, model: Any) -> Iterator[SeedPrice]:
    prices = model.prices if isinstance(model.prices, list) else [None]
    for conditional in prices:
        constraint = getattr(conditional, "constraint", None)
        start = getattr(constraint, "start_date", None)
        if constraint is not None and start is None:
            continue  # by the time of day: no provider seeded here does that
        price = _seed_price(kind, name, model, conditional.prices if conditional else model.prices, start)
        if price is not None:
            yield price


def _seed_price(kind: str, name: str, model: Any, prices: Any, start: date | None) -> SeedPrice | None:
    """None for what is not billed by text tokens alone (audio, images): better no price than a wrong one."""
    listed = {key: value for key, value in vars(prices).items() if value is not None}
    if "input_mtok" not in listed or set(listed) - set(_TOKEN_PRICES) - _TOOL_PRICES:
        return None
    columns = {column: _base(listed.get(key)) for key, column in _TOKEN_PRICES.items()}
    columns["output_per_mtok"] = columns["output_per_mtok"] or Decimal(0)  # embeddings have no output
    free = not columns["input_per_mtok"] and not columns["output_per_mtok"]
    valid_from = datetime.combine(start, time(), UTC) if start else None
    return SeedPrice(
        kind=kind,
        model=name,
        valid_from=valid_from,
        batch_factor=_batch_factor(model, columns["input_per_mtok"]),
        free=free,
        note=_note(listed),
        web_searches_per_thousand=listed.get(_WEB_SEARCHES),
        **_long_context(listed),  # type: ignore[arg-type]
        **columns,  # type: ignore[arg-type]
    )


def _long_context(listed: dict[str, Any]) -> dict[str, Decimal | int | None]:
    """The columns for long context; a price without a tier of its own stays what it is. The dearest of several tiers
    is taken from the lowest threshold on, which is never below the bill (the data has none with several)."""
    tiers = [tier for price in listed.values() for tier in getattr(price, "tiers", ())]
    above = min((tier.start for tier in tiers), default=None)
    if above is None:
        return dict.fromkeys(("long_context_above_tokens", *_LONG_PRICES.values()))
    return {
        "long_context_above_tokens": above,
        **{column: _highest(listed.get(key)) for key, column in _LONG_PRICES.items()},
    }


def _highest(price: Any) -> Decimal | None:
    return max((tier.price for tier in getattr(price, "tiers", ())), default=_base(price))


def _base(price: Any) -> Decimal | None:
    """A tiered price's first tier."""
    base: Decimal | None = getattr(price, "base", price)
    return base


def _batch_factor(model: Any, input_price: Decimal | None) -> Decimal:
    for variant in model.price_variants or ():
        batch = _base(getattr(variant.prices, "input_mtok", None))
        if variant.when == {"processing": "batch"} and batch is not None and input_price:
            return round(batch / input_price, 6)
    return _BATCH_FACTOR


def _note(listed: dict[str, Any]) -> str:
    return "file searches at the provider cost extra" if _UNCOUNTED_TOOLS & set(listed) else ""


def price_is_listed(kind: str, model: str) -> bool:
    """Whether seeding would find a price for this model."""
    return any(price.model == model for price in _known_prices([(kind, model)]) if price.kind == kind)
