"""The most one answer can use at a target, told from the request alone. Pure and cheap: called once per target.

Input: no tokenizer makes more than one token of a byte, and the providers' frames around messages are shorter than
their JSON. Added to the body's bytes: the prompt that providers add for tools and structured output, what a translated
schema grows by, inline images by the providers' formulas. Output: the limit that is sent, else the model's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from gateway.engine.configuration import Route, Target
from gateway.engine.errors import InvalidRequest
from gateway.engine.words import Operation, Wire
from gateway.services.charging import NO_FACTOR, Bounds
from gateway.wires import ParsedRequest, input_token_bound

# Providers add a prompt of their own to requests with tools: up to 530 tokens at Anthropic, by model and choice, and up
# to 735 for each tool that it defines itself (https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview).
# The gateway turns structured output into a tool where a model knows no other way. Ample for each of them.
TOOL_PROMPT_TOKENS = 1_060
# A translated schema is closed: each of its objects gets `additionalProperties` and a list of its properties' names.
SCHEMA_GROWTH = 3
# What a translation says in its own words: a forced tool's name and description, frames of messages it splits.
TRANSLATION_TOKENS = 1_024
# The most that one image can cost, by the providers' formulas. OpenAI, "Images and vision": eight tiles of 5,667 tokens
# and 2,833 on top (gpt-4o-mini, the dearest); Anthropic, "Vision": 4,784 for the largest that isn't scaled down.
IMAGE_TOKENS = {Wire.OPENAI: 50_000, Wire.ANTHROPIC: 5_000}
# No listed model writes more in one answer (gateway.engine.catalogue), so one that isn't listed is taken to.
UNKNOWN_MODEL_OUTPUT_TOKENS = 128_000
# List prices times these are the most that parameters with a price of their own make of them, by the providers' price
# pages: OpenAI's ultrafast tier (priority: 2.5), Anthropic's fast mode and its processing in one region.
PRICE_FACTORS = {"service_tier": Decimal(6), "speed": Decimal(6), "inference_geo": Decimal("1.1")}


@dataclass(frozen=True, slots=True)
class RequestBounds:
    """What bounds one request, whatever its target; calling it gives a target's bounds.

    `limit_tokens` is what the client set, `default_limit_tokens` the route's, which is sent where `bound_output` says
    so or the target's wire demands a limit.
    """

    operation: Operation
    input_tokens: int
    schema_tokens: int
    inline_images: int
    limit_tokens: int | None
    default_limit_tokens: int
    bound_output: bool
    choices: int
    predicted_tokens: int
    thinks: bool
    surcharges: tuple[str, ...]
    has_fees: bool

    def __call__(self, target: Target) -> Bounds:
        kind, traits = target.provider.kind, target.traits
        translated = kind is not self.operation.surface
        input_tokens = self.input_tokens + self.inline_images * IMAGE_TOKENS[kind]
        if translated:
            input_tokens += SCHEMA_GROWTH * self.schema_tokens + TRANSLATION_TOKENS
        return Bounds(
            input_tokens=input_tokens,
            output_tokens=self._output_tokens(target) * self.choices + self.predicted_tokens,
            hidden_output=self.thinks or traits.reasoning or traits.max_output_tokens is None,
            price_factor=NO_FACTOR if translated else self._price_factor(),
            exact=translated or not (self.surcharges or self.has_fees),
        )

    def _output_tokens(self, target: Target) -> int:
        """The limit that this target is sent (translations send no more than the model takes), else the model's own."""
        kind, most = target.provider.kind, target.traits.max_output_tokens
        limit = self.limit_tokens
        if limit is None and (self.bound_output or kind is Wire.ANTHROPIC):
            limit = self.default_limit_tokens
        if limit is None:
            return most or UNKNOWN_MODEL_OUTPUT_TOKENS
        return limit if kind is self.operation.surface else max(1, min(limit, most or limit))

    def _price_factor(self) -> Decimal:
        factor = NO_FACTOR
        for name in self.surcharges:
            factor *= PRICE_FACTORS[name]
        return factor


def request_bounds(
    operation: Operation, parsed: ParsedRequest, body: bytes, route: Route, *, bound_output: bool
) -> RequestBounds:
    payload = parsed.payload
    schema = _schema(payload)
    body_tokens = input_token_bound(body)
    return RequestBounds(
        operation=operation,
        input_tokens=body_tokens + _tool_prompt_tokens(parsed, has_schema=schema is not None),
        schema_tokens=0 if schema is None else len(orjson.dumps(schema)),
        inline_images=parsed.inline_images,
        limit_tokens=parsed.max_output_tokens,
        default_limit_tokens=route.max_output_tokens,
        bound_output=bound_output,
        choices=max(1, parsed.choices),
        # What the model doesn't take of a prediction is billed as output and never seen.
        predicted_tokens=body_tokens if payload.get("prediction") else 0,
        thinks=_thinks(payload),
        surcharges=parsed.surcharges,
        has_fees=parsed.has_fees,
    )


def check_bounded(parsed: ParsedRequest) -> None:
    """For a blocking budget: raises InvalidRequest for what has no bound, or another price than the list price."""
    if parsed.unbounded is not None:
        raise InvalidRequest(
            f"The cost of {parsed.unbounded!r} can't be bounded from the request, and a blocking budget applies to it. "
            "Send what it stands for in the request itself, or ask operations for a budget that only alerts.",
            param=parsed.unbounded,
        )
    for name in parsed.surcharges:
        raise InvalidRequest(
            f"{name!r} asks for service at another price than the list price, and a blocking budget applies to it. "
            "Leave it out, or ask operations for a budget that only alerts.",
            param=name,
        )


def _schema(payload: Mapping[str, Any]) -> Any:
    """Where any of the three APIs is asked for structured output."""
    found = payload.get("response_format") or payload.get("output_format")
    for outer in ("output_config", "text"):
        inner = payload.get(outer)
        found = found or (inner.get("format") if isinstance(inner, dict) else None)
    return found


def _tool_prompt_tokens(parsed: ParsedRequest, *, has_schema: bool) -> int:
    """One prompt for all tools of the client's, one for each tool that the provider defines."""
    tools = parsed.payload.get("tools") if parsed.has_tools else None
    provided = sum(tool.get("type") not in (None, "function", "custom") for tool in tools or ())
    return TOOL_PROMPT_TOKENS * (int(parsed.has_tools or has_schema) + provided)


def _thinks(payload: Mapping[str, Any]) -> bool:
    """Whether the request asks for thinking, which may be billed without being streamed, or streamed in summary."""
    thinking = payload.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") != "disabled":
        return True
    config = payload.get("output_config")
    effort = payload.get("reasoning_effort") or (config.get("effort") if isinstance(config, dict) else None)
    return bool(effort and effort != "none") or bool(payload.get("reasoning"))
