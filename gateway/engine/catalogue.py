"""What is known of models by name: context window, what their wire accepts, when they retire.

Sources: the providers' model and deprecation pages, as of November 2026. A model that is not listed gets the
traits of its family, and a window of None (unknown).
"""

from dataclasses import dataclass
from datetime import date

from gateway.engine.words import Wire


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """What a target's model takes. `context_window_tokens` None means unknown."""

    context_window_tokens: int | None = None
    max_output_tokens: int | None = None
    reasoning: bool = False
    takes_sampling: bool = True  # temperature, top_p, top_k
    one_sampling_knob: bool = False  # temperature or top_p, not both
    takes_stop: bool = True  # stop sequences
    thinking: str = "none"  # how an Anthropic model is told to think: "none", "budget" or "adaptive"
    efforts: tuple[str, ...] = ()  # values of OpenAI's reasoning_effort or Anthropic's output_config.effort
    takes_prefill: bool = False  # a last assistant message is continued
    takes_json_schema: bool = True  # native structured output
    output_limit_field: str = "max_tokens"
    retired_on: date | None = None
    successor: str | None = None


_OPENAI_CHAT = ModelTraits()
_OPENAI_REASONING = ModelTraits(reasoning=True, takes_sampling=False, output_limit_field="max_completion_tokens")
_CLAUDE_3 = ModelTraits(
    context_window_tokens=200_000, max_output_tokens=8_192, takes_prefill=True, takes_json_schema=False
)
_CLAUDE_CURRENT = ModelTraits(context_window_tokens=200_000, takes_sampling=False)

_KNOWN: dict[tuple[Wire, str], ModelTraits] = {
    (Wire.OPENAI, "gpt-4-turbo"): ModelTraits(
        128_000, 4_096, takes_json_schema=False, retired_on=date(2026, 10, 23), successor="gpt-6.1-sol"
    ),
    (Wire.OPENAI, "gpt-4-turbo-preview"): ModelTraits(
        128_000, 4_096, takes_json_schema=False, retired_on=date(2026, 10, 23), successor="gpt-6.1-sol"
    ),
    (Wire.OPENAI, "gpt-3.5-turbo"): ModelTraits(
        16_385, 4_096, takes_json_schema=False, retired_on=date(2026, 10, 23), successor="gpt-6-luna"
    ),
    (Wire.OPENAI, "gpt-4o"): ModelTraits(128_000, 16_384),
    (Wire.OPENAI, "gpt-4o-mini"): ModelTraits(128_000, 16_384),
    (Wire.ANTHROPIC, "claude-3-5-sonnet-20241022"): ModelTraits(
        200_000,
        8_192,
        takes_prefill=True,
        takes_json_schema=False,
        retired_on=date(2025, 10, 28),
        successor="claude-sonnet-5-5",
    ),
}

# Longest prefix wins; checked in this order.
_FAMILIES: tuple[tuple[Wire, str, ModelTraits], ...] = (
    (Wire.OPENAI, "gpt-5", _OPENAI_REASONING),
    (Wire.OPENAI, "gpt-6", _OPENAI_REASONING),
    (Wire.OPENAI, "o1", _OPENAI_REASONING),
    (Wire.OPENAI, "o3", _OPENAI_REASONING),
    (Wire.OPENAI, "o4", _OPENAI_REASONING),
    (Wire.OPENAI, "", _OPENAI_CHAT),
    (Wire.ANTHROPIC, "claude-3", _CLAUDE_3),
    (Wire.ANTHROPIC, "claude-2", _CLAUDE_3),
    (Wire.ANTHROPIC, "", _CLAUDE_CURRENT),
)


def model_traits(kind: Wire, model: str) -> ModelTraits:
    """The traits of `model` at a provider of this kind; never fails."""
    known = _KNOWN.get((kind, model))
    if known is not None:
        return known
    return next(traits for wire, prefix, traits in _FAMILIES if wire is kind and model.startswith(prefix))
