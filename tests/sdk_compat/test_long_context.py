"""What a long prompt costs, from the SDK's call to the header of its answer."""

from __future__ import annotations

from decimal import Decimal

import openai
import pytest

from tests.gateway_process import AGENT_KEY, GatewayProcess


@pytest.mark.parametrize(("words", "is_long", "rates"), [(1, False, ("2", "10")), (400, True, ("4", "15"))])
def test_a_call_is_charged_at_the_tier_that_its_input_reaches(
    gateway: GatewayProcess, words: int, is_long: bool, rates: tuple[str, str]
) -> None:
    """The route `tiered` costs more for every token above 200 input tokens."""
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=AGENT_KEY, max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="tiered", messages=[{"role": "user", "content": "[[say: Yes.]] " + "word " * words}]
        )
    usage = raw.parse().usage
    assert usage is not None
    assert (usage.prompt_tokens > 200) is is_long
    millionths = usage.prompt_tokens * Decimal(rates[0]) + usage.completion_tokens * Decimal(rates[1])
    assert Decimal(raw.headers["x-llmops-cost-usd"]) == millionths / 1_000_000
