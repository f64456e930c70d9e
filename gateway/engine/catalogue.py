"""What is known of models by name: context window, what their wire accepts, when they retire.

Sources: the providers' model and deprecation pages, as of November 2026. A model that is not listed gets the
traits of its family, and a window of None (unknown).
"""

from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache

from gateway.engine.words import Wire


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """What a target's model takes. `context_window_tokens` None means unknown."""

    context_window_tokens: int | None = None
    max_output_tokens: int | None = None
    reasoning: bool = False  # thinks in silence before its first token; Claude's thinking is streamed
    takes_sampling: bool = True  # temperature, top_p, top_k
    one_sampling_knob: bool = False  # temperature or top_p, not both
    takes_stop: bool = True  # stop sequences
    thinking: str = "none"  # how an Anthropic model is told to think: "none", "budget" or "adaptive"
    thinking_off: str | None = None  # the `thinking.type` that ends thinking which is on unless told otherwise
    thinks_always: bool = False
    binds_thoughts: bool = False  # past thinking is taken only after the very conversation it was thought in
    takes_forced_tools: bool = True  # `tool_choice` may force a call
    efforts: tuple[str, ...] = ()  # values of OpenAI's reasoning_effort or Anthropic's output_config.effort
    takes_prefill: bool = False  # a last assistant message is continued
    takes_json_schema: bool = True  # native structured output
    output_limit_field: str = "max_tokens"
    tools_stop_reasoning: bool = False  # Chat Completions takes function tools only beside reasoning_effort "none"
    retired_on: date | None = None
    successor: str | None = None


_LOW_TO_HIGH = ("low", "medium", "high")
_NONE_TO_XHIGH = ("none", *_LOW_TO_HIGH, "xhigh")

_OPENAI_CHAT = ModelTraits()
_GPT_4O = ModelTraits(128_000, 16_384)
_GPT_4_1 = ModelTraits(1_047_576, 32_768)


def _openai_reasoning(context: int | None, output: int | None, efforts: tuple[str, ...]) -> ModelTraits:
    """They refuse max_tokens, sampling and stop sequences (OpenAI, "Reasoning models")."""
    return ModelTraits(
        context,
        output,
        reasoning=True,
        takes_sampling=False,
        takes_stop=False,
        efforts=efforts,
        output_limit_field="max_completion_tokens",
    )


_O_SERIES = _openai_reasoning(200_000, 100_000, _LOW_TO_HIGH)
_GPT_5 = _openai_reasoning(400_000, 128_000, ("minimal", *_LOW_TO_HIGH))
_GPT_5_LATER = _openai_reasoning(400_000, 128_000, _NONE_TO_XHIGH)
_GPT_5_4_SMALL = replace(_GPT_5_LATER, tools_stop_reasoning=True)
_GPT_LARGE = replace(_openai_reasoning(1_050_000, 128_000, _NONE_TO_XHIGH), tools_stop_reasoning=True)
# They can't be told not to reason: whether they take tools in Chat Completions, their answer tells.
_GPT_ALWAYS_REASONING = _openai_reasoning(1_050_000, 128_000, (*_LOW_TO_HIGH, "xhigh"))


def _old_gpt(context: int, output: int, successor: str) -> ModelTraits:
    return ModelTraits(context, output, takes_json_schema=False, retired_on=date(2026, 10, 23), successor=successor)


_CLAUDE_3 = ModelTraits(200_000, 4_096, takes_prefill=True, takes_json_schema=False)
_CLAUDE_3_5 = ModelTraits(200_000, 8_192, takes_prefill=True, takes_json_schema=False)
_CLAUDE_3_5_SONNET = replace(_CLAUDE_3_5, retired_on=date(2025, 10, 28), successor="claude-sonnet-5-5")
_CLAUDE_3_5_HAIKU = replace(_CLAUDE_3_5, retired_on=date(2026, 2, 19), successor="claude-haiku-5-5")
_CLAUDE_3_7 = ModelTraits(200_000, 64_000, takes_prefill=True, takes_json_schema=False, thinking="budget")
_CLAUDE_4 = ModelTraits(
    200_000,
    32_000,
    one_sampling_knob=True,
    takes_json_schema=False,
    thinking="budget",
)
_CLAUDE_4_5 = ModelTraits(200_000, 64_000, one_sampling_knob=True, thinking="budget")
# Since 4.6 thinking is adaptive; since 4.7 there is no sampling; since 5 they think unless told otherwise; Fable 5.1,
# Opus 5.5 and Sonnet 5.5 refuse forced tools (Anthropic, "What's new in Claude Opus 5.5", "What's new in Claude Sonnet
# 5.5", "Claude Haiku 5.5 migration guide", "Preserved thinking"). Of one that is not
# listed yet the strictest is assumed.
_CLAUDE_4_6 = ModelTraits(
    1_000_000,
    64_000,
    one_sampling_knob=True,
    thinking="adaptive",
    efforts=(*_LOW_TO_HIGH, "max"),
)
_CLAUDE_CURRENT = ModelTraits(
    1_000_000,
    128_000,
    takes_sampling=False,
    thinking="adaptive",
    efforts=(*_LOW_TO_HIGH, "xhigh", "max"),
    thinks_always=True,
    binds_thoughts=True,
    takes_forced_tools=False,
)
_CLAUDE_4_7 = replace(_CLAUDE_CURRENT, thinks_always=False, binds_thoughts=False, takes_forced_tools=True)
_CLAUDE_5 = replace(_CLAUDE_4_7, thinking_off="disabled")
_CLAUDE_FABLE_5 = replace(_CLAUDE_4_7, thinks_always=True)
_CLAUDE_SONNET_5_5 = replace(_CLAUDE_CURRENT, thinking_off="between_tools", thinks_always=False)
_CLAUDE_HAIKU_5 = replace(_CLAUDE_5, max_output_tokens=64_000, binds_thoughts=True)
_ANTHROPIC_UNKNOWN = replace(_CLAUDE_4_7, context_window_tokens=None, max_output_tokens=None)

_KNOWN: dict[tuple[Wire, str], ModelTraits] = {
    (Wire.OPENAI, "gpt-4"): ModelTraits(8_192, 8_192, takes_json_schema=False),
    (Wire.OPENAI, "gpt-4-turbo"): _old_gpt(128_000, 4_096, "gpt-6.1-sol"),
    (Wire.OPENAI, "gpt-4-turbo-preview"): _old_gpt(128_000, 4_096, "gpt-6.1-sol"),
    (Wire.OPENAI, "gpt-3.5-turbo"): _old_gpt(16_385, 4_096, "gpt-6-luna"),
}

# The first prefix that fits wins, so longer ones stand before shorter ones.
_FAMILIES: tuple[tuple[Wire, str, ModelTraits], ...] = (
    (Wire.OPENAI, "gpt-4-turbo", _old_gpt(128_000, 4_096, "gpt-6.1-sol")),
    (Wire.OPENAI, "gpt-3.5", _old_gpt(16_385, 4_096, "gpt-6-luna")),
    (Wire.OPENAI, "gpt-4o", _GPT_4O),
    (Wire.OPENAI, "gpt-4.1", _GPT_4_1),
    (Wire.OPENAI, "gpt-5.4-mini", _GPT_5_4_SMALL),
    (Wire.OPENAI, "gpt-5.4-nano", _GPT_5_4_SMALL),
    (Wire.OPENAI, "gpt-5.4", _GPT_LARGE),
    (Wire.OPENAI, "gpt-5.5", _GPT_LARGE),
    (Wire.OPENAI, "gpt-5.6", _GPT_LARGE),
    (Wire.OPENAI, "gpt-5.", _GPT_5_LATER),
    (Wire.OPENAI, "gpt-5", _GPT_5),
    (Wire.OPENAI, "gpt-6.", _GPT_ALWAYS_REASONING),
    (Wire.OPENAI, "gpt-6-astra", _GPT_ALWAYS_REASONING),
    (Wire.OPENAI, "gpt-6", _GPT_LARGE),
    (Wire.OPENAI, "o1", _O_SERIES),
    (Wire.OPENAI, "o3", _O_SERIES),
    (Wire.OPENAI, "o4", _O_SERIES),
    (Wire.OPENAI, "", _OPENAI_CHAT),
    (Wire.ANTHROPIC, "claude-3-7", _CLAUDE_3_7),
    (Wire.ANTHROPIC, "claude-3-5-sonnet", _CLAUDE_3_5_SONNET),
    (Wire.ANTHROPIC, "claude-3-5-haiku", _CLAUDE_3_5_HAIKU),
    (Wire.ANTHROPIC, "claude-3-5", _CLAUDE_3_5),
    (Wire.ANTHROPIC, "claude-3", _CLAUDE_3),
    (Wire.ANTHROPIC, "claude-2", _CLAUDE_3),
    (Wire.ANTHROPIC, "claude-opus-4-6", _CLAUDE_4_6),
    (Wire.ANTHROPIC, "claude-sonnet-4-6", _CLAUDE_4_6),
    (Wire.ANTHROPIC, "claude-opus-4-5", _CLAUDE_4_5),
    (Wire.ANTHROPIC, "claude-sonnet-4-5", _CLAUDE_4_5),
    (Wire.ANTHROPIC, "claude-haiku-4-5", _CLAUDE_4_5),
    (Wire.ANTHROPIC, "claude-opus-4-0", _CLAUDE_4),
    (Wire.ANTHROPIC, "claude-opus-4-1", _CLAUDE_4),
    (Wire.ANTHROPIC, "claude-opus-4-2025", _CLAUDE_4),
    (Wire.ANTHROPIC, "claude-sonnet-4-0", _CLAUDE_4),
    (Wire.ANTHROPIC, "claude-sonnet-4-2025", _CLAUDE_4),
    (Wire.ANTHROPIC, "claude-opus-4", _CLAUDE_4_7),
    (Wire.ANTHROPIC, "claude-sonnet-5-5", _CLAUDE_SONNET_5_5),
    (Wire.ANTHROPIC, "claude-sonnet-5", _CLAUDE_5),
    (Wire.ANTHROPIC, "claude-opus-5-5", _CLAUDE_CURRENT),
    (Wire.ANTHROPIC, "claude-opus-5", _CLAUDE_5),
    (Wire.ANTHROPIC, "claude-fable-5-1", _CLAUDE_CURRENT),
    (Wire.ANTHROPIC, "claude-fable-5", _CLAUDE_FABLE_5),
    (Wire.ANTHROPIC, "claude-haiku-5", _CLAUDE_HAIKU_5),
    (Wire.ANTHROPIC, "claude-", _CLAUDE_CURRENT),
    (Wire.ANTHROPIC, "", _ANTHROPIC_UNKNOWN),
)


@lru_cache(maxsize=1024)
def model_traits(kind: Wire, model: str) -> ModelTraits:
    """The traits of `model` at a provider of this kind; never fails."""
    known = _KNOWN.get((kind, model))
    if known is not None:
        return known
    return next(traits for wire, prefix, traits in _FAMILIES if wire is kind and model.startswith(prefix))
