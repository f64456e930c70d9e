"""Reservations and charges against amounts worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest

from gateway.engine.attempt import Attempt, FallbackStep
from gateway.engine.configuration import Provider, Route, Target
from gateway.engine.errors import InvalidRequest, UpstreamError
from gateway.engine.usage import Usage
from gateway.engine.words import AttemptOutcome, Billing, FailureKind, Operation, Wire
from gateway.ledger.prices import LongContext, Price, PriceBook
from gateway.services.bounding import RequestBounds, check_bounded, request_bounds
from gateway.services.charging import (
    FREE_OF_CHARGE,
    Bounds,
    Charge,
    charge_attempt,
    fallback_records,
    total_billing,
    worst_case_usd,
)
from gateway.wires import parse_call, translate_request

NOW = datetime(2026, 11, 1, tzinfo=UTC)
OPENAI = Provider("openai", Wire.OPENAI, "http://127.0.0.1:1")
ANTHROPIC = Provider("anthropic", Wire.ANTHROPIC, "http://127.0.0.1:1")
GPT_4O = Target.of(OPENAI, "gpt-4o")  # writes up to 16,384 tokens
GPT_6 = Target.of(OPENAI, "gpt-6-luna")  # reasons; writes up to 128,000 tokens
UNKNOWN = Target.of(OPENAI, "a-model-of-next-year")
CLAUDE = Target.of(ANTHROPIC, "claude-3-5-sonnet-20241022")  # writes up to 8,192 tokens
ROUTE = Route("default", (GPT_4O, CLAUDE), max_output_tokens=4096)

# 1 USD per million tokens in, 10 USD out: a millionth of a dollar per token in, a hundred-thousandth per token out.
PRICE = Price(7, Wire.OPENAI, "gpt-4o", Decimal(1), Decimal(10))
CLAUDE_PRICE = Price(8, Wire.ANTHROPIC, CLAUDE.model, Decimal(3), Decimal(15), cache_write_1h_per_mtok=Decimal(6))
BOOK = PriceBook([PRICE, CLAUDE_PRICE])
BOUNDS = Bounds(input_tokens=500, output_tokens=32_000)


def attempt(outcome: AttemptOutcome = AttemptOutcome.SUCCEEDED, **facts: Any) -> Attempt:
    facts.setdefault("target", GPT_4O)
    return Attempt(facts.pop("number", 1), facts.pop("target"), 0, 0, "", 0.0, sent=True, outcome=outcome, **facts)


def failed(*, may_be_billed: bool, **facts: Any) -> Attempt:
    return attempt(
        AttemptOutcome.FAILED, error=UpstreamError(FailureKind.TIMEOUT, "m", may_be_billed=may_be_billed), **facts
    )


def bounds_for(operation: Operation, *, bound_output: bool = False, **payload: Any) -> RequestBounds:
    body = orjson.dumps({"model": "default", **payload})
    return request_bounds(operation, parse_call(operation, body), body, ROUTE, bound_output=bound_output)


def chat(**payload: Any) -> RequestBounds:
    payload.setdefault("messages", [{"role": "user", "content": "hi"}])
    return bounds_for(Operation.CHAT, **payload)


def messages(**payload: Any) -> RequestBounds:
    payload = {"max_tokens": 100, "messages": [{"role": "user", "content": "hi"}], **payload}
    return bounds_for(Operation.MESSAGES, **payload)


CANCELLED = AttemptOutcome.CANCELLED
CASES: dict[str, tuple[Attempt, Bounds, str, Billing, int]] = {
    "reported": (attempt(usage=Usage(100, 20)), BOUNDS, "0.0003", Billing.REPORTED, 20),
    "told nothing": (attempt(), BOUNDS, "0.3205", Billing.ESTIMATED, 32_000),
    "cut after 400 bytes": (attempt(CANCELLED, bytes_received=400), BOUNDS, "0.01474", Billing.ESTIMATED, 1_424),
    "cut near its limit": (attempt(CANCELLED, bytes_received=31_900), BOUNDS, "0.3205", Billing.ESTIMATED, 32_000),
    "cut while it may have reasoned": (
        attempt(CANCELLED, bytes_received=400),
        replace(BOUNDS, hidden_output=True),
        "0.3205",
        Billing.ESTIMATED,
        32_000,
    ),
    "left before a byte": (attempt(CANCELLED), BOUNDS, "0.3205", Billing.ESTIMATED, 32_000),
    "left after the usage": (
        attempt(CANCELLED, bytes_received=400, usage=Usage(100, 20)),
        BOUNDS,
        "0.0003",
        Billing.REPORTED,
        20,
    ),
    "broke after the usage": (
        failed(may_be_billed=True, usage=Usage(100, 20)),
        BOUNDS,
        "0.0003",
        Billing.REPORTED,
        20,
    ),
    "timed out": (failed(may_be_billed=True), BOUNDS, "0.3205", Billing.ESTIMATED, 32_000),
    "refused": (failed(may_be_billed=False), BOUNDS, "0", Billing.NONE, 0),
    "another tier": (
        attempt(usage=Usage(100, 20)),
        replace(BOUNDS, price_factor=Decimal("2.5"), exact=False),
        "0.00075",
        Billing.ESTIMATED,
        20,
    ),
    "another tier, told nothing": (
        attempt(),
        replace(BOUNDS, price_factor=Decimal("2.5"), exact=False),
        "0.80125",
        Billing.ESTIMATED,
        32_000,
    ),
    "tools with fees": (attempt(usage=Usage(100, 20)), replace(BOUNDS, exact=False), "0.0003", Billing.ESTIMATED, 20),
}


@pytest.mark.parametrize(("tried", "bounds", "usd", "billing", "output_tokens"), CASES.values(), ids=CASES)
def test_an_attempt_is_charged(tried: Attempt, bounds: Bounds, usd: str, billing: Billing, output_tokens: int) -> None:
    charge = charge_attempt(tried, PRICE, bounds)
    assert (charge.cost_usd, charge.billing, charge.usage.output_tokens) == (Decimal(usd), billing, output_tokens)


def test_what_was_never_sent_or_has_no_price_is_free() -> None:
    skipped = replace(attempt(AttemptOutcome.SKIPPED), sent=False)
    assert charge_attempt(skipped, PRICE, BOUNDS) == FREE_OF_CHARGE
    assert charge_attempt(attempt(usage=Usage(100, 20)), None, BOUNDS) == FREE_OF_CHARGE


def test_the_worst_case_is_the_dearest_targets_with_its_own_bounds() -> None:
    bounds = {GPT_4O.name: Bounds(1_000, 16_384), CLAUDE.name: Bounds(2_000, 4_096)}
    # gpt-4o: 1,000 + 163,840 millionths; Claude: 2,000 * 6 (an hour's cache write) + 4,096 * 15 = 73,440 millionths
    assert worst_case_usd(BOOK, (GPT_4O, CLAUDE), lambda target: bounds[target.name], NOW) == Decimal("0.16484")
    assert worst_case_usd(BOOK, (CLAUDE,), lambda target: bounds[target.name], NOW) == Decimal("0.07344")
    assert worst_case_usd(BOOK, (UNKNOWN,), lambda target: BOUNDS, NOW) == 0


@pytest.mark.parametrize(
    ("bounds", "target", "output_tokens"),
    [
        (chat(), GPT_4O, 16_384),
        (chat(), GPT_6, 128_000),
        (chat(), UNKNOWN, 128_000),
        (chat(), CLAUDE, 4_096),
        (chat(bound_output=True), GPT_4O, 4_096),
        (chat(bound_output=True), UNKNOWN, 4_096),
        (chat(max_tokens=50), GPT_4O, 50),
        (chat(max_tokens=50_000), CLAUDE, 8_192),
        (chat(max_tokens=50, n=3), GPT_4O, 150),
        (chat(n=3), GPT_4O, 49_152),
        (messages(), CLAUDE, 100),
        (messages(max_tokens=50_000), CLAUDE, 50_000),
        (messages(max_tokens=50_000), GPT_4O, 16_384),
        (messages(max_tokens=0), GPT_4O, 1),
        (bounds_for(Operation.RESPONSES, input="hi"), GPT_4O, 16_384),
        (bounds_for(Operation.EMBEDDINGS, input="hi"), GPT_4O, 0),
    ],
)
def test_the_output_is_bounded_by_what_is_sent_else_by_what_the_model_may_write(
    bounds: RequestBounds, target: Target, output_tokens: int
) -> None:
    assert bounds(target).output_tokens == output_tokens


def test_a_prediction_may_be_billed_as_output_on_top() -> None:
    body_bytes = chat().input_tokens
    predicted = chat(max_tokens=50, prediction={"type": "content", "content": "x" * 100})
    assert predicted(GPT_4O).output_tokens > 50 + body_bytes + 100


@pytest.mark.parametrize(
    ("bounds", "target", "hidden"),
    [
        (chat(), GPT_4O, False),
        (chat(), GPT_6, True),
        (chat(), UNKNOWN, True),
        (chat(), CLAUDE, False),
        (chat(reasoning_effort="high"), CLAUDE, True),
        (chat(reasoning_effort="none"), CLAUDE, False),
        (messages(thinking={"type": "adaptive"}), CLAUDE, True),
        (messages(thinking={"type": "disabled"}), CLAUDE, False),
        (messages(output_config={"effort": "low"}), CLAUDE, True),
        (bounds_for(Operation.RESPONSES, input="hi", reasoning={"effort": "low"}), GPT_4O, True),
    ],
)
def test_output_may_be_hidden_where_the_model_reasons_or_thinking_is_asked_for(
    bounds: RequestBounds, target: Target, hidden: bool
) -> None:
    assert bounds(target).hidden_output is hidden


JSON_OBJECT = {"type": "json_object"}
TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("payload", "target", "added"),
    [
        ({}, GPT_4O, 0),
        ({}, CLAUDE, 1_024),
        ({"tools": [TOOL]}, GPT_4O, 1_060),
        ({"tools": [TOOL]}, CLAUDE, 1_060 + 1_024),
        ({"response_format": JSON_OBJECT}, CLAUDE, 1_060 + 1_024 + 3 * len(orjson.dumps(JSON_OBJECT))),
    ],
)
def test_what_is_added_to_a_chat_counts_as_input(payload: dict[str, Any], target: Target, added: int) -> None:
    request = {"messages": [{"role": "user", "content": "hi"}], **payload}
    body = orjson.dumps({"model": "default", **request})
    assert chat(**request)(target).input_tokens == len(body) + added


def test_tools_that_the_provider_defines_have_a_prompt_each() -> None:
    own = messages(tools=[{"type": "bash_20250124", "name": "bash"}, {"name": "f"}])
    plain = messages(tools=[{"type": "custom", "name": "bash"}, {"name": "f"}])
    assert own(CLAUDE).input_tokens - own.input_tokens == plain(CLAUDE).input_tokens - plain.input_tokens == 0
    assert own.input_tokens - plain.input_tokens == 1_060 + len("bash_20250124") - len("custom")


def test_a_field_of_another_operation_changes_no_bound() -> None:
    assert bounds_for(Operation.EMBEDDINGS, input="hi", tools="?")(GPT_4O).input_tokens > 0


def test_an_image_sent_along_counts_by_the_targets_formula() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    seen = chat(messages=[{"role": "user", "content": [part, part]}])
    assert seen(GPT_4O).input_tokens == seen.input_tokens + 100_000
    assert seen(CLAUDE).input_tokens == seen.input_tokens + 10_000 + 1_024


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {f"p{i}": {"type": "object", "properties": {}} for i in range(200)}},
        {"type": "object", "properties": {f"p{i}": {"properties": {}} for i in range(200)}, "required": ["p1"]},
        {"type": "object", "properties": {f"p{i}": {"type": "integer", "minimum": i} for i in range(200)}},
    ],
)
@pytest.mark.parametrize("model", ["claude-3-5-sonnet-20241022", "claude-sonnet-5-5"])
def test_a_translated_request_is_never_longer_than_its_bound(schema: dict[str, Any], model: str) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    target = Target.of(ANTHROPIC, model)
    payload = {
        "model": "default",
        "messages": [{"role": "user", "content": "x"}] * 50,
        "response_format": wanted,
    }
    body = orjson.dumps(payload)
    sent = translate_request(
        Wire.OPENAI, Wire.ANTHROPIC, payload, model=model, traits=target.traits, stream=False, default_output_tokens=9
    )
    parsed = parse_call(Operation.CHAT, body)
    bounds = request_bounds(Operation.CHAT, parsed, body, ROUTE, bound_output=False)
    assert len(sent.body) <= bounds(target).input_tokens


def test_another_price_holds_for_the_targets_that_are_sent_the_parameter() -> None:
    asked = chat(service_tier="priority")
    assert (asked(GPT_4O).price_factor, asked(GPT_4O).exact) == (Decimal(6), False)
    assert (asked(CLAUDE).price_factor, asked(CLAUDE).exact) == (Decimal(1), True)
    assert messages(speed="fast", inference_geo="us")(CLAUDE).price_factor == Decimal("6.6")


def test_tools_with_fees_of_their_own_are_never_exact() -> None:
    assert not messages(tools=[{"type": "code_execution_20250825", "name": "c"}])(CLAUDE).exact


def test_web_searches_that_the_usage_counts_are_exact() -> None:
    assert messages(tools=[{"type": "web_search_20250305", "name": "s"}])(CLAUDE).exact


def test_a_search_without_a_known_fee_makes_the_amount_an_estimate() -> None:
    searched = attempt(usage=Usage(100, 20, web_searches=1))
    charge = charge_attempt(searched, PRICE, BOUNDS)
    assert (charge.cost_usd, charge.billing) == (Decimal("0.0003"), Billing.ESTIMATED)


def test_a_search_with_a_known_fee_is_charged_and_exact() -> None:
    searched = attempt(usage=Usage(100, 20, web_searches=2))
    charge = charge_attempt(searched, replace(PRICE, usd_per_thousand_web_searches=Decimal(10)), BOUNDS)
    # 2 * 10 / 1,000 beside the tokens
    assert (charge.cost_usd, charge.billing) == (Decimal("0.0203"), Billing.REPORTED)


def test_the_worst_case_takes_the_dearest_tier_that_the_bound_can_reach() -> None:
    tiered = PriceBook([replace(PRICE, long_context=LongContext(1_000, Decimal(2), Decimal(15)))])
    reached = (Bounds(1_000, 100), Bounds(1_001, 100))
    worst = [worst_case_usd(tiered, [GPT_4O], lambda _, bounds=bounds: bounds, NOW) for bounds in reached]
    # 1,000 * 1 + 100 * 10 = 2,000; 1,001 * 2 + 100 * 15 = 3,502
    assert worst == [Decimal("0.002"), Decimal("0.003502")]


@pytest.mark.parametrize(
    ("payload", "param"),
    [
        ({"service_tier": "priority"}, "service_tier"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
            "messages[0].content[0]",
        ),
    ],
)
def test_a_blocking_budget_refuses_by_name_what_it_cannot_bound(payload: dict[str, Any], param: str) -> None:
    body = orjson.dumps({"model": "default", "messages": [{"role": "user", "content": "hi"}], **payload})
    with pytest.raises(InvalidRequest) as refused:
        check_bounded(parse_call(Operation.CHAT, body))
    assert refused.value.param == param
    assert param in refused.value.message


def test_a_blocking_budget_takes_what_is_bounded() -> None:
    check_bounded(parse_call(Operation.CHAT, b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'))


def test_a_fallback_costs_what_was_paid_in_vain_and_the_difference_in_price() -> None:
    tries = [failed(may_be_billed=True), attempt(number=2, target=CLAUDE, usage=Usage(1_000, 100))]
    charges = [Charge(Decimal("0.02"), Billing.ESTIMATED, Usage(), 7), charge_attempt(tries[1], CLAUDE_PRICE, BOUNDS)]
    step = FallbackStep(1, GPT_4O, CLAUDE, "timeout", 12)
    (record,) = fallback_records([step], tries, charges, BOOK, NOW)
    # Claude 3,000 + 1,500 millionths; gpt-4o would have been 1,000 + 1,000; 20,000 were paid in vain
    assert record.extra_cost_usd == Decimal("0.0225")
    assert (record.from_target, record.to_target, record.after_ms) == (GPT_4O.name, CLAUDE.name, 12)


def test_a_fallback_that_brought_no_answer_costs_what_was_paid_in_vain() -> None:
    tries = [failed(may_be_billed=True), failed(may_be_billed=False, number=2, target=CLAUDE)]
    charges = [charge_attempt(tries[0], PRICE, BOUNDS), charge_attempt(tries[1], CLAUDE_PRICE, BOUNDS)]
    (record,) = fallback_records([FallbackStep(1, GPT_4O, CLAUDE, "r", 1)], tries, charges, BOOK, NOW)
    assert record.extra_cost_usd == Decimal("0.3205")


@pytest.mark.parametrize(
    ("billings", "total"),
    [
        ((), Billing.NONE),
        ((Billing.NONE, Billing.REPORTED), Billing.REPORTED),
        ((Billing.REPORTED, Billing.ESTIMATED, Billing.NONE), Billing.ESTIMATED),
        ((Billing.ESTIMATED, Billing.UNKNOWN), Billing.UNKNOWN),
    ],
)
def test_a_completion_is_as_certain_as_its_least_certain_attempt(billings: tuple[Billing, ...], total: Billing) -> None:
    assert total_billing([replace(FREE_OF_CHARGE, billing=billing) for billing in billings]) is total
