"""What tokens cost: versioned prices and exact arithmetic. Pure.

Prices are US dollars per million tokens, as both providers publish them. The rules are how the providers bill:

- cached input is a part of the input, billed at its own, lower price;
- tokens written to a cache are a part of the input, billed at their own price (Anthropic: 1.25 times the input price
  for five minutes, twice for an hour, "Prompt caching" in its documentation; OpenAI: as input);
- reasoning is a part of the output, billed as output unless it has a price of its own;
- input above a model's long-context threshold, cached input included, puts every token of the call, output too, at
  the long-context prices (Anthropic, "Long context pricing"; OpenAI, "Pricing");
- a batch multiplies all of that by one factor (both: 0.5);
- web searches cost a fee each, in batches too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_HALF_UP, Context, Decimal, localcontext

from gateway.engine.usage import Usage
from gateway.engine.words import Wire

_TOKENS_PER_PRICE = Decimal(1_000_000)
_SEARCHES_PER_PRICE = Decimal(1_000)
_PICO_USD = Decimal("1e-12")
# Enough digits that no product or sum of token counts and prices is ever rounded before the one rounding at the end.
_EXACT = Context(prec=80)
_ALWAYS = datetime.min.replace(tzinfo=UTC)


class _Rates:
    """What tokens cost, in USD per million; the fields are those of the dataclasses below."""

    __slots__ = ()

    input_per_mtok: Decimal
    output_per_mtok: Decimal
    cached_input_per_mtok: Decimal | None
    cache_write_per_mtok: Decimal | None
    cache_write_1h_per_mtok: Decimal | None

    @property
    def cached_input(self) -> Decimal:
        return self.input_per_mtok if self.cached_input_per_mtok is None else self.cached_input_per_mtok

    @property
    def cache_write(self) -> Decimal:
        return self.input_per_mtok if self.cache_write_per_mtok is None else self.cache_write_per_mtok

    @property
    def cache_write_1h(self) -> Decimal:
        return self.cache_write if self.cache_write_1h_per_mtok is None else self.cache_write_1h_per_mtok

    @property
    def dearest_input(self) -> Decimal:
        return max(self.input_per_mtok, self.cached_input, self.cache_write, self.cache_write_1h)

    @property
    def reasoning(self) -> Decimal:
        return self.output_per_mtok


@dataclass(frozen=True, slots=True)
class LongContext(_Rates):
    """The prices of calls with more input tokens, cached ones included, than `above_input_tokens`."""

    above_input_tokens: int
    input_per_mtok: Decimal
    output_per_mtok: Decimal
    cached_input_per_mtok: Decimal | None = None
    cache_write_per_mtok: Decimal | None = None
    cache_write_1h_per_mtok: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Price(_Rates):
    """One version of a model's price, in USD per million tokens; in force from `valid_from` (None: since ever).

    A price that is None falls back to the next more general one: a one-hour cache write to the five-minute one, that
    one and cached input to the input price, reasoning to output. So whoever lists a cache-write price for an Anthropic
    model should list the one-hour price too; the fallback is the documented reading of an incomplete list, not the
    provider's rule. A fee for web searches that is None is unknown, not nothing.
    """

    id: int
    kind: Wire
    model: str
    input_per_mtok: Decimal
    output_per_mtok: Decimal
    cached_input_per_mtok: Decimal | None = None
    cache_write_per_mtok: Decimal | None = None
    cache_write_1h_per_mtok: Decimal | None = None
    batch_factor: Decimal = Decimal(1)
    free: bool = False
    valid_from: datetime | None = None
    reasoning_per_mtok: Decimal | None = None
    long_context: LongContext | None = None
    usd_per_thousand_web_searches: Decimal | None = None

    @property
    def reasoning(self) -> Decimal:
        return self.output_per_mtok if self.reasoning_per_mtok is None else self.reasoning_per_mtok

    def rates(self, input_tokens: int) -> Price | LongContext:
        """What holds for a call with so many input tokens."""
        long = self.long_context
        return self if long is None or input_tokens <= long.above_input_tokens else long


def cost_usd(price: Price, usage: Usage, *, batch: bool = False) -> Decimal:
    """What `usage`, that of one call, costs, rounded once, half up, to 10⁻¹² USD."""
    if price.free:
        return Decimal(0)
    rates = price.rates(usage.input_tokens)
    thought = min(usage.reasoning_tokens, usage.output_tokens)
    short_writes = usage.cache_write_tokens - usage.cache_write_1h_tokens
    plain_input = max(0, usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens)
    with localcontext(_EXACT):
        total = (
            plain_input * rates.input_per_mtok
            + usage.cached_input_tokens * rates.cached_input
            + short_writes * rates.cache_write
            + usage.cache_write_1h_tokens * rates.cache_write_1h
            + (usage.output_tokens - thought) * rates.output_per_mtok
            + thought * rates.reasoning
        )
        factor = price.batch_factor if batch else Decimal(1)
        return (total * factor / _TOKENS_PER_PRICE + _fees_usd(price, usage)).quantize(_PICO_USD, ROUND_HALF_UP)


def _fees_usd(price: Price, usage: Usage) -> Decimal:
    """Unknown fees count as nothing: `fees_are_known` tells the two apart."""
    if not usage.web_searches or price.usd_per_thousand_web_searches is None:
        return Decimal(0)
    return usage.web_searches * price.usd_per_thousand_web_searches / _SEARCHES_PER_PRICE


def fees_are_known(price: Price, usage: Usage) -> bool:
    """Whether `cost_usd` holds every fee that the usage tells of."""
    return price.free or not usage.web_searches or price.usd_per_thousand_web_searches is not None


def upper_bound_usd(price: Price, *, input_tokens_bound: int, output_tokens_bound: int) -> Decimal:
    """The most that up to so many tokens can cost: every input token in the dearest way it could be billed, in the
    dearest tier that the bound can reach; rounded up. Without fees, which no request bounds."""
    if price.free:
        return Decimal(0)
    with localcontext(_EXACT):
        total = _most(price, input_tokens_bound, output_tokens_bound)
        long = price.long_context
        if long is not None and input_tokens_bound > long.above_input_tokens:
            below = _most(price, long.above_input_tokens, output_tokens_bound)
            total = max(below, _most(long, input_tokens_bound, output_tokens_bound))
        return (total / _TOKENS_PER_PRICE).quantize(_PICO_USD, ROUND_CEILING)


def _most(rates: _Rates, input_tokens: int, output_tokens: int) -> Decimal:
    """In millionths of a dollar."""
    return input_tokens * rates.dearest_input + output_tokens * max(rates.output_per_mtok, rates.reasoning)


class PriceBook:
    """All versions of all prices; of versions that begin at the same time the one with the highest id is in force."""

    def __init__(self, prices: Iterable[Price]) -> None:
        self._versions: dict[tuple[str, str], list[Price]] = {}
        for price in sorted(prices, key=lambda price: (_starts(price), price.id)):
            self._versions.setdefault((price.kind.value, price.model), []).append(price)

    def find(self, kind: Wire, model: str, at: datetime) -> Price | None:
        """The version in force at `at` (aware), or None for a model without a price at that time."""
        versions = self._versions.get((kind.value, model), [])
        position = bisect_right(versions, at, key=_starts)
        return versions[position - 1] if position else None


def _starts(price: Price) -> datetime:
    return price.valid_from or _ALWAYS
