"""The models the simulator knows, with their limits. Retired ones answer, since the demo uses them by
name.
"""

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Model:
    """``context_tokens`` bounds input and output together, ``max_output_tokens`` the output."""

    id: str
    context_tokens: int
    max_output_tokens: int
    reasoning: bool = False  # OpenAI: refuses max_tokens, temperatures and stop sequences
    tools_stop_reasoning: bool = False  # OpenAI: refuses function tools in Chat Completions while it reasons
    prefill: bool = False  # Anthropic: goes on from a final assistant message
    forced_tools: bool = True  # Anthropic: `tool_choice` may force a call
    display_name: str = ""


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """``dimensions`` is a whole vector's; ``shortens`` whether the request may ask for fewer."""

    id: str
    dimensions: int
    shortens: bool = True


_OPENAI_TOOLS_STOP_REASONING = ("gpt-5.4", "gpt-5.5", "gpt-5.6", "gpt-6")


def _openai(name: str, context: int, output: int, *, reasoning: bool = False) -> Model:
    silent = name.startswith(_OPENAI_TOOLS_STOP_REASONING)
    return Model(name, context, output, reasoning=reasoning, tools_stop_reasoning=silent)


OPENAI_MODELS = {
    model.id: model
    for model in (
        _openai("gpt-3.5-turbo", 16_385, 4_096),
        _openai("gpt-4", 8_192, 8_192),
        _openai("gpt-4-turbo", 128_000, 4_096),
        _openai("gpt-4-turbo-preview", 128_000, 4_096),
        _openai("gpt-4o", 128_000, 16_384),
        _openai("gpt-4o-mini", 128_000, 16_384),
        _openai("gpt-4.1", 1_047_576, 32_768),
        _openai("o3", 200_000, 100_000, reasoning=True),
        _openai("o4-mini", 200_000, 100_000, reasoning=True),
        _openai("gpt-6.1-sol", 1_000_000, 128_000, reasoning=True),
        _openai("gpt-6-luna", 400_000, 128_000, reasoning=True),
    )
}
ANTHROPIC_MODELS = {
    model.id: model
    for model in (
        Model("claude-sonnet-5-5", 1_000_000, 128_000, forced_tools=False, display_name="Claude Sonnet 5.5"),
        Model("claude-haiku-5-5", 200_000, 64_000, display_name="Claude Haiku 5.5"),
        Model("claude-3-5-sonnet-latest", 200_000, 8_192, prefill=True, display_name="Claude 3.5 Sonnet"),
        Model("claude-3-5-sonnet-20241022", 200_000, 8_192, prefill=True, display_name="Claude 3.5 Sonnet"),
        Model("claude-3-5-haiku-20241022", 200_000, 8_192, prefill=True, display_name="Claude 3.5 Haiku"),
    )
}
EMBEDDING_MODELS = {
    model.id: model
    for model in (
        EmbeddingModel("text-embedding-3-small", 1536),
        EmbeddingModel("text-embedding-3-large", 3072),
        EmbeddingModel("text-embedding-ada-002", 1536, shortens=False),
    )
}
_OPENAI_FAMILIES = ("gpt-", "o1", "o3", "o4")
_OPENAI_REASONING = ("o1", "o3", "o4", "gpt-5", "gpt-6")


@lru_cache(maxsize=1024)
def openai_model(name: str) -> Model | None:
    """The model of that name; any name of OpenAI's families exists, with its family's limits."""
    known = OPENAI_MODELS.get(name)
    if known or not name.startswith(_OPENAI_FAMILIES) or len(name) > 128:
        return known
    base = max((m for m in OPENAI_MODELS if name.startswith(m + "-")), key=len, default=None)
    limits = OPENAI_MODELS[base] if base else OPENAI_MODELS["gpt-4o"]
    return _openai(name, limits.context_tokens, limits.max_output_tokens, reasoning=name.startswith(_OPENAI_REASONING))


@lru_cache(maxsize=1024)
def anthropic_model(name: str) -> Model | None:
    """The model of that name; anything that begins with ``claude-`` exists."""
    known = ANTHROPIC_MODELS.get(name)
    if known or not name.startswith("claude-") or len(name) > 128:
        return known
    if name.startswith("claude-3"):
        return Model(
            name,
            200_000,
            8_192 if "-3-5" in name or "-3-7" in name else 4_096,
            prefill=True,
            display_name=name,
        )
    return Model(name, 200_000, 64_000, display_name=name)
