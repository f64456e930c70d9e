"""What is measured: the request of each scenario, how many of them, how many at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

PLAIN_MODEL = "gpt-4-turbo"
PACED_MODEL = "gpt-4o"  # the simulator sends its tokens one by one
HELD_MODEL = "gpt-4o-mini"  # the same, slowly
FAILING_MODEL = "gpt-4"  # the simulator answers 503 for it
CLAUDE = "claude-3-5-sonnet-20241022"
_DONE = b"data: [DONE]"


@dataclass(frozen=True, slots=True)
class Scenario:
    """`route` is the gateway's; `model` is what the pass-through is asked for, None where it can't do the same."""

    name: str
    text: str
    route: str
    model: str | None
    stream: bool
    requests: int  # per round
    connections: int

    def body(self, model: str, more: Mapping[str, object] | None = None) -> bytes:
        """`more` are fields that the asked server knows and OpenAI's wire does not."""
        order = "[[tokens: 100]]" if self.stream else "[[tokens: 12]]"
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"Say something. {order}"}]
        request: dict[str, object] = {"model": model, "messages": messages, "max_tokens": 200, **(more or {})}
        if self.stream:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps(request).encode()

    @property
    def expected(self) -> bytes:
        return _DONE if self.stream else b'"usage"'


SCENARIOS = (
    Scenario("a", "plain", "plain", PLAIN_MODEL, False, 300, 8),
    Scenario("b", "stream of 100 chunks, sent at once", "plain", PLAIN_MODEL, True, 60, 8),
    Scenario("bp", "the same, 10 ms between chunks", "paced", PACED_MODEL, True, 20, 20),
    Scenario("c", "translated to Anthropic, plain", "translated", None, False, 200, 8),
    Scenario("cs", "translated to Anthropic, stream", "translated", None, True, 40, 8),
    Scenario("d", "answered from the cache, plain", "cached", None, False, 300, 8),
    Scenario("ds", "answered from the cache, stream", "cached", None, True, 300, 8),
    Scenario("f", "primary answers 503, fallback (translated) answers", "fallback", None, False, 120, 8),
)
# Not a scenario of the table: streams that stay open for half a minute, to see what holding them takes.
HELD = Scenario("held", "open streams, a token a second", "held", HELD_MODEL, True, 500, 500)
