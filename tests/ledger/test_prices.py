"""What tokens cost, against sums done by hand (the workings stand beside the rows, in millionths of a dollar)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.usage import Usage
from gateway.engine.words import Wire
from gateway.ledger.prices import Price, PriceBook, cost_usd, upper_bound_usd


def price(input_price: str, output_price: str, **changes: Any) -> Price:
    facts: dict[str, Any] = {"id": 1, "kind": Wire.OPENAI, "model": "m", "batch_factor": Decimal("0.5")}
    return Price(input_per_mtok=Decimal(input_price), output_per_mtok=Decimal(output_price), **{**facts, **changes})


GPT_4_TURBO = price("10", "30")
GPT_4O = price("2.50", "10", cached_input_per_mtok=Decimal("1.25"))
REASONER = price("1.10", "4.40", cached_input_per_mtok=Decimal("0.55"))
SONNET = price(
    "3",
    "15",
    kind=Wire.ANTHROPIC,
    cached_input_per_mtok=Decimal("0.30"),
    cache_write_per_mtok=Decimal("3.75"),
    cache_write_1h_per_mtok=Decimal("6"),
)
SONNET_WITHOUT_1H = price(
    "3", "15", cached_input_per_mtok=Decimal("0.30"), cache_write_per_mtok=Decimal("3.75"), kind=Wire.ANTHROPIC
)
SONNET_PLAIN = price("3", "15", kind=Wire.ANTHROPIC)

# Anthropic's shape: 50 plain + 1,800 read from the cache + 248 written to it, 100 of those for an hour.
CACHED_SONNET_USAGE = Usage(
    input_tokens=2_098,
    output_tokens=503,
    cached_input_tokens=1_800,
    cache_write_tokens=248,
    cache_write_1h_tokens=100,
)

COSTS = [
    # 1,000 * 10 + 500 * 30 = 25,000
    (GPT_4_TURBO, Usage(input_tokens=1_000, output_tokens=500), False, "0.025"),
    # the same in a batch
    (GPT_4_TURBO, Usage(input_tokens=1_000, output_tokens=500), True, "0.0125"),
    # cached tokens without a price of their own: 1,000 * 10
    (GPT_4_TURBO, Usage(input_tokens=1_000, cached_input_tokens=900), False, "0.01"),
    # OpenAI's shape, cached tokens inside the prompt: 86 * 2.50 + 1,920 * 1.25 + 300 * 10 = 215 + 2,400 + 3,000
    (GPT_4O, Usage(input_tokens=2_006, output_tokens=300, cached_input_tokens=1_920), False, "0.005615"),
    # OpenAI's shape, reasoning inside the output: 75 * 1.10 + 1,186 * 4.40 = 82.5 + 5,218.4
    (REASONER, Usage(input_tokens=75, output_tokens=1_186, reasoning_tokens=1_024), False, "0.0053009"),
    # 50 * 3 + 1,800 * 0.30 + 148 * 3.75 + 100 * 6 + 503 * 15 = 150 + 540 + 555 + 600 + 7,545
    (SONNET, CACHED_SONNET_USAGE, False, "0.00939"),
    (SONNET, CACHED_SONNET_USAGE, True, "0.004695"),
    # without a one-hour price: 150 + 540 + 248 * 3.75 + 7,545
    (SONNET_WITHOUT_1H, CACHED_SONNET_USAGE, False, "0.009165"),
    # without any cache price: 2,098 * 3 + 7,545
    (SONNET_PLAIN, CACHED_SONNET_USAGE, False, "0.013839"),
    (price("10", "30", free=True), Usage(input_tokens=1_000, output_tokens=500), False, "0"),
    (GPT_4_TURBO, Usage(), False, "0"),
]


@pytest.mark.parametrize(("charged", "usage", "batch", "expected"), COSTS)
def test_a_cost_equals_the_sum_done_by_hand(charged: Price, usage: Usage, batch: bool, expected: str) -> None:
    assert cost_usd(charged, usage, batch=batch) == Decimal(expected)


@pytest.mark.parametrize(
    ("per_mtok", "expected"),
    [("0.0000004", "0"), ("0.0000005", "1e-12"), ("0.0000014", "1e-12"), ("0.0000015", "2e-12")],
)
def test_half_a_pico_dollar_is_rounded_up_once(per_mtok: str, expected: str) -> None:
    assert cost_usd(price(per_mtok, "0"), Usage(input_tokens=1)) == Decimal(expected)


def test_parts_below_a_pico_dollar_are_added_before_rounding() -> None:
    # 0.3 + 0.3 millionths of a millionth; each alone would be rounded to nothing.
    assert cost_usd(price("0.0000003", "0.0000003"), Usage(input_tokens=1, output_tokens=1)) == Decimal("1e-12")


def test_large_amounts_lose_no_digit() -> None:
    usage = Usage(input_tokens=999_999_999_999, output_tokens=1)

    assert cost_usd(price("9999.999999", "0.000001"), usage) == Decimal("9999999998.990000000002")


def test_an_upper_bound_takes_the_dearest_way_an_input_token_can_be_billed() -> None:
    # 1,000 * 6 + 200 * 15 = 9,000
    assert upper_bound_usd(SONNET, input_tokens_bound=1_000, output_tokens_bound=200) == Decimal("0.009")


def test_an_upper_bound_is_rounded_up() -> None:
    assert upper_bound_usd(price("0.0000001", "0"), input_tokens_bound=1, output_tokens_bound=0) == Decimal("1e-12")


def test_a_free_model_has_a_bound_of_nothing() -> None:
    assert upper_bound_usd(price("1", "1", free=True), input_tokens_bound=9, output_tokens_bound=9) == 0


tokens = st.integers(0, 1_000_000)
prices = st.decimals(0, 1_000, places=6)


@settings(deadline=None)
@given(plain=tokens, cached=tokens, short=tokens, long=tokens, output=tokens, rates=st.tuples(*[prices] * 5))
def test_no_split_of_the_tokens_costs_more_than_the_upper_bound(
    plain: int, cached: int, short: int, long: int, output: int, rates: tuple[Decimal, ...]
) -> None:
    charged = Price(1, Wire.ANTHROPIC, "m", *rates)
    usage = Usage(plain + cached + short + long, output, cached, short + long, long)

    bound = upper_bound_usd(charged, input_tokens_bound=usage.input_tokens, output_tokens_bound=output)

    assert cost_usd(charged, usage) <= bound


JULY, OCTOBER = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
BOOK = PriceBook(
    [
        price("2", "2", id=2, valid_from=JULY),
        price("1", "1", id=1),
        price("3", "3", id=3, valid_from=OCTOBER),
        price("4", "4", id=4, valid_from=OCTOBER),
        price("9", "9", id=9, model="later", valid_from=OCTOBER),
    ]
)


@pytest.mark.parametrize(
    ("kind", "model", "at", "expected"),
    [
        (Wire.OPENAI, "m", datetime(2026, 6, 30, 23, 59, 59, tzinfo=UTC), 1),
        (Wire.OPENAI, "m", JULY, 2),
        (Wire.OPENAI, "m", datetime(2026, 9, 30, tzinfo=UTC), 2),
        (Wire.OPENAI, "m", OCTOBER, 4),
        (Wire.OPENAI, "later", JULY, None),
        (Wire.OPENAI, "unknown", OCTOBER, None),
        (Wire.ANTHROPIC, "m", OCTOBER, None),
    ],
)
def test_the_version_in_force_is_the_latest_that_has_begun(
    kind: Wire, model: str, at: datetime, expected: int | None
) -> None:
    found = BOOK.find(kind, model, at)

    assert (found.id if found else None) == expected
