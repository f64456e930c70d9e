"""Token usage in one shape for both wires."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and searches of one answer.

    `input_tokens` counts everything that went in, cached and cache-written tokens included; the two wires differ there
    (OpenAI's `prompt_tokens` includes cached ones, Anthropic's `input_tokens` excludes both), and `gateway.wires`
    evens it out. `reasoning_tokens` are part of `output_tokens`, one-hour cache writes part of `cache_write_tokens`.
    `web_searches` are those that the provider ran and says it charges for.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    web_searches: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_input_tokens + other.cached_input_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.web_searches + other.web_searches,
        )
