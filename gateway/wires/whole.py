"""Whether an answer is one that may be given to somebody else who asks the same: whole, not cut, not refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.engine.words import Operation

_OPENAI_WHOLE = frozenset({"stop", "tool_calls", "function_call"})
_ANTHROPIC_WHOLE = frozenset({"end_turn", "stop_sequence", "tool_use"})


def is_whole(operation: Operation, answer: Mapping[str, Any]) -> bool:
    """Closed by default: an answer of another shape, or with a reason nobody knows, isn't."""
    if answer.get("error") is not None:
        return False
    if operation is Operation.EMBEDDINGS:
        return bool(answer.get("data"))
    if operation is Operation.MESSAGES:
        return answer.get("stop_reason") in _ANTHROPIC_WHOLE and bool(answer.get("content"))
    choices = answer.get("choices")
    return isinstance(choices, list) and bool(choices) and all(_is_whole_choice(choice) for choice in choices)


def _is_whole_choice(choice: Any) -> bool:
    if not isinstance(choice, dict) or choice.get("finish_reason") not in _OPENAI_WHOLE:
        return False
    message = choice.get("message")
    return isinstance(message, dict) and not message.get("refusal") and not message.get("audio")
