"""An OpenAI Chat Completions request as an Anthropic Messages request.

Sources: OpenAI, "API reference: Create chat completion"; Anthropic, "API reference: Create a Message", "OpenAI SDK
compatibility" (temperature capped at 1), "Tool use", "Extended thinking" and "Adaptive thinking" (what thinking
excludes), "Structured outputs".
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from gateway.engine.catalogue import ModelTraits
from gateway.engine.errors import InvalidRequest
from gateway.engine.words import Wire
from gateway.wires.jsons import dumps, dumps_text
from gateway.wires.openai_to_anthropic_messages import SYSTEM_ROLES, Turns
from gateway.wires.openai_to_anthropic_tools import Toolbox, read_tools
from gateway.wires.schemas import can_be_closed, closed_schema
from gateway.wires.vocabulary import nearest_effort
from gateway.wires.words import Context, Translated, Untranslatable

# Manual thinking budgets in tokens per effort; Anthropic's least is 1,024, and half of the output
# limit is left for the answer.
THINKING_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 32768}
LEAST_THINKING_BUDGET = 1024
MAX_USER_ID_CHARACTERS = 256
JSON_ONLY = "Whatever you say in text must be one JSON object, with no word and no code fence around it"
_SERVICE_TIERS = {"auto": "auto", "default": "standard_only"}

# Read by the translation itself, or ours.
_HANDLED = frozenset(
    {
        "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p",
        "top_k", "stop", "n", "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "user",
        "safety_identifier", "response_format", "reasoning_effort", "service_tier", "metadata",
    }
)  # fmt: skip
# Asked for an answer that this target can't give: leaving them out would change what the client gets back.
_REFUSED = {
    "logprobs": "returns no log probabilities",
    "top_logprobs": "returns no log probabilities",
    "audio": "speaks no audio",
    "web_search_options": "has no web search of OpenAI's kind",
    "moderation": "moderates nothing on request",
}
# Of the refused ones an empty object asks for the defaults.
_NOT_ASKED: tuple[Any, ...] = (None, False, 0)
# Values that ask for nothing, so leaving them out is no loss and isn't told.
_NEUTRAL: tuple[Any, ...] = (None, False, 0, {}, [])


def to_anthropic(
    payload: Mapping[str, Any], *, model: str, traits: ModelTraits, stream: bool, default_output_tokens: int
) -> Translated:
    """Raises InvalidRequest for what makes no sense on any wire, Untranslatable for what this target can't do."""
    _refuse(payload)
    toolbox = read_tools(payload, traits)
    dropped = toolbox.dropped
    body: dict[str, Any] = {"model": model}
    body["max_tokens"] = _limit(payload, traits, default_output_tokens)
    _add_format(body, payload, traits, toolbox)
    _add_messages(body, payload, traits, toolbox.instructions)
    _add_plain_fields(body, payload, dropped)
    _add_thinking(body, payload, traits, toolbox, dropped)
    _add_sampling(body, payload, traits, dropped)
    toolbox.write(body)
    if stream:
        body["stream"] = True
    dropped += [name for name, value in payload.items() if name not in _HANDLED and not _asks_nothing(value)]
    return Translated(dumps(body), tuple(dropped), _context(payload, model, traits, toolbox))


def _asks_nothing(value: Any) -> bool:
    return any(value == neutral and type(value) is type(neutral) for neutral in _NEUTRAL) or value == 0.0


def _refuse(payload: Mapping[str, Any]) -> None:
    if (payload.get("n") or 1) > 1:
        raise Untranslatable("n", "This target gives one choice per request; send 'n': 1 or leave it out.")
    for name, reason in _REFUSED.items():
        if payload.get(name) not in _NOT_ASKED:
            raise Untranslatable(name, f"{name!r} can't be honoured: this target {reason}.")
    modalities = payload.get("modalities")
    if isinstance(modalities, list) and any(each != "text" for each in modalities):
        raise Untranslatable("modalities", "'modalities' can't be honoured: this target answers in text only.")


def _context(payload: Mapping[str, Any], model: str, traits: ModelTraits, toolbox: Toolbox) -> Context:
    options = payload.get("stream_options")
    return Context(
        surface=Wire.OPENAI,
        kind=Wire.ANTHROPIC,
        model=model,
        created_at=int(time.time()),
        wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
        answer_tool=toolbox.answer_tool,
        legacy_functions=toolbox.legacy,
        keeps_thoughts=not (traits.binds_thoughts and toolbox.instructions),
    )


def _limit(payload: Mapping[str, Any], traits: ModelTraits, default: int) -> int:
    """What the client set, else the route's bound; never above what the model takes (more would be a 400)."""
    asked = payload.get("max_completion_tokens") or payload.get("max_tokens") or default
    limit: int = min(asked, traits.max_output_tokens or asked)
    return limit


def _add_messages(
    body: dict[str, Any], payload: Mapping[str, Any], traits: ModelTraits, instructions: list[str]
) -> None:
    turns = Turns(keep_thoughts=not (traits.binds_thoughts and (instructions or _adds_to_system(payload))))
    for index, message in enumerate(payload["messages"]):
        turns.add(index, message)
    body["messages"] = turns.finish(prefill=traits.takes_prefill)
    system = turns.system + [{"type": "text", "text": each} for each in instructions]
    if system:
        body["system"] = system if len(system) > 1 else system[0]["text"]


def _adds_to_system(payload: Mapping[str, Any]) -> bool:
    """Whether a system message came amid the conversation: what was thought before it was thought without it."""
    roles = [message["role"] for message in payload["messages"]]
    return "assistant" in roles and any(role in SYSTEM_ROLES for role in roles[roles.index("assistant") :])


def _add_plain_fields(body: dict[str, Any], payload: Mapping[str, Any], dropped: list[str]) -> None:
    stop = payload.get("stop")
    if stop is not None:
        _add_stop(body, [stop] if isinstance(stop, str) else stop, dropped)
    name = "safety_identifier" if payload.get("safety_identifier") else "user"
    user = payload.get(name)
    if isinstance(user, str) and 0 < len(user) <= MAX_USER_ID_CHARACTERS:
        body["metadata"] = {"user_id": user}
    elif user:
        dropped.append(name)
    tier = payload.get("service_tier")
    if tier in _SERVICE_TIERS:
        body["service_tier"] = _SERVICE_TIERS[tier]
    elif tier is not None:
        dropped.append("service_tier")
    metadata = payload.get("metadata")
    if isinstance(metadata, dict) and metadata.keys() - {"conversation_id"}:
        dropped.append("metadata")


def _add_stop(body: dict[str, Any], stops: Any, dropped: list[str]) -> None:
    """Sequences of white space only are a 400 at Anthropic."""
    if not isinstance(stops, list) or not all(isinstance(each, str) for each in stops):
        raise InvalidRequest("'stop' must be a string or a list of strings.", param="stop")
    taken = [each for each in stops if each.strip()]
    if taken:
        body["stop_sequences"] = taken
    if len(taken) < len(stops):
        dropped.append("stop")


def _add_format(body: dict[str, Any], payload: Mapping[str, Any], traits: ModelTraits, toolbox: Toolbox) -> None:
    wanted = payload.get("response_format")
    if wanted is None:
        return
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "json_object":
        _ask_for_json(toolbox, traits, {})
    elif kind == "json_schema":
        _add_schema(body, wanted.get("json_schema"), traits, toolbox)
    elif kind != "text":
        raise InvalidRequest(
            "'response_format.type' must be 'text', 'json_object' or 'json_schema'.", param="response_format"
        )


def _add_schema(body: dict[str, Any], wanted: Any, traits: ModelTraits, toolbox: Toolbox) -> None:
    schema = wanted.get("schema", {"type": "object"}) if isinstance(wanted, dict) else None
    if not isinstance(schema, dict):
        raise InvalidRequest(
            "'response_format.json_schema' must be an object with 'name' and 'schema'.",
            param="response_format.json_schema",
        )
    if traits.takes_json_schema and can_be_closed(schema):
        body["output_config"] = {"format": {"type": "json_schema", "schema": closed_schema(schema)}}
    else:
        _ask_for_json(toolbox, traits, wanted)


def _ask_for_json(toolbox: Toolbox, traits: ModelTraits, wanted: Mapping[str, Any]) -> None:
    """Where native structured output can't say what is wanted: by a forced tool, else in the system prompt.

    `wanted` is the client's `json_schema`, empty where any JSON object will do.
    """
    schema = wanted.get("schema", {"type": "object"})
    if traits.takes_forced_tools:
        description = wanted.get("description") or "Give the answer in this form, a JSON object."
        toolbox.force_answer(str(wanted.get("name") or "json_answer"), str(description), schema)
        return
    matching = f", and match this JSON schema: {dumps_text(schema)}" if "schema" in wanted else "."
    toolbox.instructions.append(JSON_ONLY + matching)


def _add_thinking(
    body: dict[str, Any],
    payload: Mapping[str, Any],
    traits: ModelTraits,
    toolbox: Toolbox,
    dropped: list[str],
) -> None:
    """Thinking as the model takes it; not beside a forced tool, nor where the call under way was made without it."""
    effort = payload.get("reasoning_effort")
    if effort is None:
        return
    if effort == "none":
        _stop_thinking(body, traits, dropped)
        return
    if effort not in THINKING_BUDGETS:
        raise InvalidRequest(
            f"'reasoning_effort' must be one of none, {', '.join(THINKING_BUDGETS)}.",
            param="reasoning_effort",
        )
    if traits.thinking == "adaptive":
        body["output_config"] = {
            **body.get("output_config", {}),
            "effort": nearest_effort(effort, traits.efforts),
        }
        if not toolbox.forced:
            body["thinking"] = {"type": "adaptive", "display": "summarized"}
        return
    budget = min(THINKING_BUDGETS[effort], body["max_tokens"] // 2)
    if traits.thinking == "budget" and not toolbox.forced and budget >= LEAST_THINKING_BUDGET and _may_think(body):
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    else:
        dropped.append("reasoning_effort")


def _stop_thinking(body: dict[str, Any], traits: ModelTraits, dropped: list[str]) -> None:
    """Many models think unless told otherwise; some can't be told, only to think little."""
    if traits.thinking_off is not None:
        body["thinking"] = {"type": traits.thinking_off}
    elif traits.thinks_always:
        body["output_config"] = {**body.get("output_config", {}), "effort": nearest_effort("none", traits.efforts)}
        dropped.append("reasoning_effort")


def _may_think(body: Mapping[str, Any]) -> bool:
    """With a manual budget the assistant's turn under way must begin with its thinking; prefill is not taken either."""
    messages = body["messages"]
    if messages[-1]["role"] == "assistant":
        return False
    if len(messages) < 2 or not _has(messages[-1], "tool_result"):
        return True
    first = messages[-2]["content"][0]
    return isinstance(first, dict) and first["type"] in ("thinking", "redacted_thinking")


def _has(message: Mapping[str, Any], kind: str) -> bool:
    content = message["content"]
    return isinstance(content, list) and any(block["type"] == kind for block in content)


def _add_sampling(body: dict[str, Any], payload: Mapping[str, Any], traits: ModelTraits, dropped: list[str]) -> None:
    """Temperature is capped at 1. Models that think don't sample, some models take only one of the knobs."""
    knobs = {name: payload[name] for name in ("temperature", "top_p", "top_k") if payload.get(name) is not None}
    for name, value in knobs.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InvalidRequest(f"{name!r} must be a number.", param=name)
    if not traits.takes_sampling or "thinking" in body:
        dropped += knobs
        return
    if traits.one_sampling_knob and "temperature" in knobs and "top_p" in knobs:
        dropped.append("top_p")
        del knobs["top_p"]
    if "temperature" in knobs:
        knobs["temperature"] = min(max(knobs["temperature"], 0), 1)
    body.update(knobs)
