"""Asking for the rest of an answer whose stream broke off.

Sources: Anthropic, "Prefill Claude's response" (the last assistant message is continued; it must not end with white
space), "Streaming messages: error recovery" (models without prefill are told to go on in a user message).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.engine.exchange import Ask
from gateway.engine.words import Wire
from gateway.wires.jsons import dumps

GO_ON = (
    "Your last message was cut off by a technical fault. Continue it exactly where it broke off: what you write now "
    "is appended to it as it is, so begin with the very next character, be it a space, a line break or the rest of a "
    "word. Don't repeat anything of it, don't comment on it and don't mention the interruption."
)
_CHARACTERS_PER_TOKEN = 4  # of English prose; the rest of the limit is an estimate
_LIMITS = ("max_completion_tokens", "max_tokens")
_FREE_CHOICES = ("auto", "none")


def continuable(surface: Wire, payload: Mapping[str, Any]) -> bool:
    """Whether the rest of an answer can be asked for: one answer in plain text, with no promise about its form."""
    return _openai_continuable(payload) if surface is Wire.OPENAI else _anthropic_continuable(payload)


def _openai_continuable(payload: Mapping[str, Any]) -> bool:
    form = payload.get("response_format")
    plain = form is None or (isinstance(form, dict) and form.get("type") == "text")
    forced = payload.get("tool_choice") == "required" or isinstance(payload.get("tool_choice"), dict)
    forced = forced or isinstance(payload.get("function_call"), dict)
    audible = payload.get("modalities") not in (None, ["text"])
    return plain and not forced and not audible and (payload.get("n") or 1) == 1


def _anthropic_continuable(payload: Mapping[str, Any]) -> bool:
    configured, choice = payload.get("output_config"), payload.get("tool_choice")
    formed = payload.get("output_format") or (isinstance(configured, dict) and configured.get("format"))
    forced = isinstance(choice, dict) and choice.get("type") not in _FREE_CHOICES
    return not formed and not forced


def continuation_ask(ask: Ask) -> Ask:
    """A request for the rest of an answer, as the surface says it; any other is left as it is."""
    continuation = ask.continuation
    if continuation is None:
        return ask
    text = continuation.seam.text
    # Thinking and prefill exclude each other, and a text that is all white space leaves nothing to prefill.
    prefill = continuation.prefill and not ask.payload.get("reasoning_effort") and bool(text.strip())
    limit = rest_of_limit(ask.payload, text)
    payload = continuation_payload(ask.surface, ask.payload, text, prefill=prefill, limit=limit)
    lowered = None if ask.output_limit_tokens is None else _rest(ask.output_limit_tokens, text)
    return replace(
        ask,
        payload=payload,
        body=dumps(payload),
        continuation=replace(continuation, prefill=prefill),
        output_limit_tokens=lowered,
    )


def rest_of_limit(payload: Mapping[str, Any], text: str) -> int | None:
    """What is left of the client's output limit after `text`, at least one token; None where there is no limit."""
    limit = next((payload[name] for name in _LIMITS if payload.get(name) is not None), None)
    return None if limit is None else _rest(limit, text)


def _rest(limit: int, text: str) -> int:
    return max(1, limit - round(len(text) / _CHARACTERS_PER_TOKEN))


def continuation_payload(
    surface: Wire, payload: Mapping[str, Any], text: str, *, prefill: bool, limit: int | None
) -> dict[str, Any]:
    """`payload` with the answer's `text` so far, as a prefill or followed by the instruction to go on.

    Thinking is switched off where the surface can say so: the thoughts have been thought, and a model that thinks takes
    no prefill. `limit` replaces the output limit.
    """
    messages = list(payload["messages"])
    if surface is Wire.ANTHROPIC and messages[-1].get("role") == "assistant":
        messages[-1] = _lengthened(messages[-1], text, prefill)  # the client's own prefill began the answer
    else:
        messages.append({"role": "assistant", "content": text.rstrip() if prefill else text})
    if not prefill:
        messages.append({"role": "user", "content": GO_ON})
    rest = {**payload, "messages": messages}
    if surface is Wire.ANTHROPIC:
        rest.pop("thinking", None)
    if limit is not None:
        names = [name for name in _LIMITS if payload.get(name) is not None] or ["max_tokens"]
        rest.update((name, limit) for name in names)
    return rest


def _lengthened(message: Mapping[str, Any], text: str, prefill: bool) -> dict[str, Any]:
    content = message.get("content")
    if isinstance(content, str):
        whole = content + text
        return {**message, "content": whole.rstrip() if prefill else whole}
    *before, last = content or [{"type": "text", "text": ""}]
    if last.get("type") != "text" or not isinstance(last.get("text"), str):
        return {**message, "content": [*before, last, {"type": "text", "text": text.rstrip() if prefill else text}]}
    whole = last["text"] + text
    return {**message, "content": [*before, {**last, "text": whole.rstrip() if prefill else whole}]}
