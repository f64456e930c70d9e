"""What is measured: the request of each scenario, how many of them, how many at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass

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

    def body(self, model: str) -> bytes:
        order = "[[tokens: 100]]" if self.stream else "[[tokens: 12]]"
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"Say something. {order}"}]
        request: dict[str, object] = {"model": model, "messages": messages, "max_tokens": 200}
        if self.stream:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps(request).encode()

    @property
    def expected(self) -> bytes:
        return _DONE if self.stream else b'"usage"'


SCENARIOS = (
    Scenario("a", "plain", "plain", "gpt-4-turbo", False, 300, 8),
    Scenario("b", "stream of 100 chunks, sent at once", "plain", "gpt-4-turbo", True, 60, 8),
    Scenario("bp", "the same, 10 ms between chunks", "paced", "gpt-4o", True, 20, 20),
    Scenario("c", "translated to Anthropic, plain", "translated", None, False, 200, 8),
    Scenario("cs", "translated to Anthropic, stream", "translated", None, True, 40, 8),
    Scenario("d", "answered from the cache, plain", "cached", None, False, 300, 8),
    Scenario("ds", "answered from the cache, stream", "cached", None, True, 300, 8),
    Scenario("f", "primary answers 503, fallback (translated) answers", "fallback", None, False, 120, 8),
)
