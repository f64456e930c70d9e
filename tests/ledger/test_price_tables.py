"""What the providers' own usage shapes cost, from the reply's JSON to the cent. Each row's sum is worked out beside it,
in millionths of a dollar (tokens times dollars per million)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.usage import Usage
from gateway.engine.words import Wire
from gateway.ledger.prices import LongContext, Price, cost_usd, upper_bound_usd
from gateway.wires.vocabulary import usage_from_anthropic, usage_from_openai, usage_from_responses


def usd(text: str) -> Decimal:
    return Decimal(text)


# As the providers list them: gpt-6.1-sol and claude-sonnet-4-5.
SOL = Price(
    1,
    Wire.OPENAI,
    "gpt-6.1-sol",
    input_per_mtok=usd("2"),
    output_per_mtok=usd("10"),
    cached_input_per_mtok=usd("0.10"),
    cache_write_per_mtok=usd("2.50"),
    batch_factor=usd("0.5"),
    long_context=LongContext(272_000, usd("4"), usd("15"), usd("0.20"), usd("5")),
    usd_per_thousand_web_searches=usd("10"),
)
SONNET = Price(
    2,
    Wire.ANTHROPIC,
    "claude-sonnet-4-5",
    input_per_mtok=usd("3"),
    output_per_mtok=usd("15"),
    cached_input_per_mtok=usd("0.30"),
    cache_write_per_mtok=usd("3.75"),
    cache_write_1h_per_mtok=usd("6"),
    batch_factor=usd("0.5"),
    long_context=LongContext(200_000, usd("6"), usd("22.50"), usd("0.60"), usd("7.50"), usd("12")),
    usd_per_thousand_web_searches=usd("10"),
)
# Nobody lists such a model today: reasoning at a third of the output's price.
THINKER = Price(3, Wire.OPENAI, "thinker", usd("1"), usd("9"), reasoning_per_mtok=usd("3"))


def chat(prompt: int, completion: int, *, cached: int = 0, written: int = 0, reasoning: int = 0) -> Usage:
    usage = usage_from_openai(
        {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }
    )
    assert usage is not None
    return usage


def responses(prompt: int, completion: int, *items: dict[str, Any]) -> Usage:
    usage = usage_from_responses({"input_tokens": prompt, "output_tokens": completion}, list(items))
    assert usage is not None
    return usage


def messages(fresh: int, output: int, *, read: int = 0, short: int = 0, long: int = 0, searches: int = 0) -> Usage:
    usage = usage_from_anthropic(
        {
            "input_tokens": fresh,
            "output_tokens": output,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": short + long,
            "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
            "server_tool_use": {"web_search_requests": searches},
        }
    )
    assert usage is not None
    return usage


SEARCH = {"type": "web_search_call", "action": {"type": "search", "query": "q"}}
OPEN_PAGE = {"type": "web_search_call", "action": {"type": "open_page", "url": "https://example.com"}}

TABLE = {
    # 1,000 * 2 + 500 * 10 = 7,000
    "chat, plain": (SOL, chat(1_000, 500), False, "0.007"),
    # 200 * 2 + 800 * 0.10 + 500 * 10 = 400 + 80 + 5,000
    "chat, cached inside the prompt": (SOL, chat(1_000, 500, cached=800), False, "0.00548"),
    # 100 * 2 + 800 * 0.10 + 100 * 2.50 + 500 * 10 = 200 + 80 + 250 + 5,000
    "chat, written inside the prompt": (SOL, chat(1_000, 500, cached=800, written=100), False, "0.00553"),
    # reasoning is inside the output: 1,000 * 2 + 500 * 10
    "chat, reasoning": (SOL, chat(1_000, 500, reasoning=400), False, "0.007"),
    # 1,000 * 1 + 100 * 9 + 400 * 3 = 1,000 + 900 + 1,200
    "chat, reasoning priced apart": (THINKER, chat(1_000, 500, reasoning=400), False, "0.0031"),
    # (200 * 2 + 800 * 0.10 + 500 * 10) / 2 = 5,480 / 2
    "chat, batch": (SOL, chat(1_000, 500, cached=800), True, "0.00274"),
    # the threshold itself is not above it: 272,000 * 2 + 1,000 * 10 = 544,000 + 10,000
    "chat, at the threshold": (SOL, chat(272_000, 1_000), False, "0.554"),
    # one more, and every token is dearer: 272,001 * 4 + 1,000 * 15 = 1,088,004 + 15,000
    "chat, above the threshold": (SOL, chat(272_001, 1_000), False, "1.103004"),
    # cached tokens count towards it: 30,000 * 4 + 270,000 * 0.20 + 1,000 * 15 = 120,000 + 54,000 + 15,000
    "chat, cached above the threshold": (SOL, chat(300_000, 1_000, cached=270_000), False, "0.189"),
    # 1,088,004 + 15,000 = 1,103,004, halved
    "chat, batch above the threshold": (SOL, chat(272_001, 1_000), True, "0.551502"),
    # output doesn't count towards it: 1,000 * 2 + 300,000 * 10
    "chat, long output": (SOL, chat(1_000, 300_000), False, "3.002"),
    # 1,000 * 2 + 500 * 10 = 7,000; two searches at a cent each, the opened page costs nothing
    "responses, searches": (SOL, responses(1_000, 500, SEARCH, OPEN_PAGE, SEARCH), False, "0.027"),
    # 1,000 * 3 + 500 * 15 = 3,000 + 7,500
    "messages, plain": (SONNET, messages(1_000, 500), False, "0.0105"),
    # cached beside the input: 1,000 * 3 + 800 * 0.30 + 500 * 15 = 3,000 + 240 + 7,500
    "messages, cached": (SONNET, messages(1_000, 500, read=800), False, "0.01074"),
    # five minutes are 1.25 times the input: 1,000 * 3 + 400 * 3.75 + 500 * 15 = 3,000 + 1,500 + 7,500
    "messages, written for 5 m": (SONNET, messages(1_000, 500, short=400), False, "0.012"),
    # an hour is twice the input: 1,000 * 3 + 400 * 6 + 500 * 15 = 3,000 + 2,400 + 7,500
    "messages, written for 1 h": (SONNET, messages(1_000, 500, long=400), False, "0.0129"),
    # 10 * 3 + 800 * 0.30 + 400 * 3.75 + 100 * 6 + 500 * 15 = 30 + 240 + 1,500 + 600 + 7,500
    "messages, all of it": (SONNET, messages(10, 500, read=800, short=400, long=100), False, "0.00987"),
    # 9,870 halved
    "messages, batch": (SONNET, messages(10, 500, read=800, short=400, long=100), True, "0.004935"),
    # 200,000 * 3 + 100 * 15 = 600,000 + 1,500
    "messages, at the threshold": (SONNET, messages(200_000, 100), False, "0.6015"),
    # 1 * 6 + 100,000 * 0.60 + 60,000 * 7.50 + 40,000 * 12 + 100 * 22.50 = 6 + 60,000 + 450,000 + 480,000 + 2,250
    "messages, above the threshold": (
        SONNET,
        messages(1, 100, read=100_000, short=60_000, long=40_000),
        False,
        "0.992256",
    ),
    # 1,000 * 3 + 500 * 15 = 10,500; three searches at a cent each
    "messages, searches": (SONNET, messages(1_000, 500, searches=3), False, "0.0405"),
    # the tokens are halved, the searches not: 5,250 + 30,000
    "messages, searches in a batch": (SONNET, messages(1_000, 500, searches=3), True, "0.03525"),
}


@pytest.mark.parametrize(("price", "usage", "batch", "expected"), TABLE.values(), ids=TABLE.keys())
def test_a_usage_costs_what_the_provider_bills_for_it(price: Price, usage: Usage, batch: bool, expected: str) -> None:
    assert cost_usd(price, usage, batch=batch) == Decimal(expected)


BOUNDS = [
    # every input token at the dearest, a write: 272,000 * 2.50 + 1,000 * 10 = 680,000 + 10,000
    (SOL, 272_000, 1_000, "0.69"),
    # 272,001 * 5 + 1,000 * 15 = 1,360,005 + 15,000
    (SOL, 272_001, 1_000, "1.375005"),
    # 200,000 * 6 + 100 * 15 = 1,200,000 + 1,500
    (SONNET, 200_000, 100, "1.2015"),
    # 200,001 * 12 + 100 * 22.50 = 2,400,012 + 2,250
    (SONNET, 200_001, 100, "2.402262"),
    # 1,000 * 1 + 500 * 9
    (THINKER, 1_000, 500, "0.0055"),
]


@pytest.mark.parametrize(("price", "input_tokens", "output_tokens", "expected"), BOUNDS)
def test_a_bound_takes_the_dearest_tier_it_can_reach(
    price: Price, input_tokens: int, output_tokens: int, expected: str
) -> None:
    bound = upper_bound_usd(price, input_tokens_bound=input_tokens, output_tokens_bound=output_tokens)
    assert bound == Decimal(expected)


tokens = st.integers(0, 2_000)
rates = st.decimals(0, 100, places=6)


@settings(deadline=None)
@given(
    spent=st.tuples(*[tokens] * 6),
    slack=st.tuples(tokens, tokens),
    base=st.tuples(*[rates] * 5),
    long=st.tuples(*[rates] * 5),
    above=st.integers(1, 8_000),
    reasoning=rates,
)
def test_no_call_within_its_bounds_costs_more_than_the_bound(
    spent: tuple[int, ...],
    slack: tuple[int, int],
    base: tuple[Decimal, ...],
    long: tuple[Decimal, ...],
    above: int,
    reasoning: Decimal,
) -> None:
    plain, cached, short, hour, output, thought = spent
    usage = Usage(plain + cached + short + hour, output + thought, cached, short + hour, hour, thought)
    price = Price(1, Wire.ANTHROPIC, "m", *base, reasoning_per_mtok=reasoning, long_context=LongContext(above, *long))

    bound = upper_bound_usd(
        price, input_tokens_bound=usage.input_tokens + slack[0], output_tokens_bound=usage.output_tokens + slack[1]
    )

    assert cost_usd(price, usage) <= bound
