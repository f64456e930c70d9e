"""What the simulated model answers, before either wire gives it a shape."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gateway.simulator import schema as schemas
from gateway.simulator.text import Orders, Turn, orders, prose
from gateway.simulator.tokens import split


class Finish(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """``mode`` is auto, none, required or named; ``names`` limits which tools may be called (empty: all)."""

    mode: str = "auto"
    names: tuple[str, ...] = ()
    parallel: bool = True


@dataclass(frozen=True, slots=True)
class Ask:
    """What both wires have in common. ``max_tokens`` includes ``thinking_tokens``."""

    seed: int
    turns: Sequence[Turn]
    tools: Sequence[Tool] = ()
    choice: ToolChoice = field(default_factory=ToolChoice)
    json_schema: dict[str, Any] | None = None
    json_object: bool = False
    stops: Sequence[str] = ()
    max_tokens: int | None = None
    thinking_tokens: int = 0


@dataclass(slots=True)
class Call:
    """One tool call: the name's tokens and the tokens of its JSON arguments."""

    name: str
    pieces: list[str]
    name_tokens: int

    @property
    def tokens(self) -> int:
        return self.name_tokens + len(self.pieces)


@dataclass(slots=True)
class Answer:
    """Thinking, then text, then tool calls. ``stop_sequence`` is the one that ended the text."""

    finish: Finish
    text: list[str]
    calls: list[Call]
    thinking: list[str]
    stop_sequence: str | None = None

    @property
    def tokens(self) -> int:
        return len(self.thinking) + len(self.text) + sum(call.tokens for call in self.calls)


def compose(ask: Ask) -> Answer:
    """The answer: as ordered by the user message, else a tool call where one is due, else believable text."""
    ordered = orders(ask.turns)
    calls = _calls(ask, ordered)
    text, stop = _text(ask, ordered, bool(calls))
    finish = Finish.STOP_SEQUENCE if stop is not None else Finish.TOOL_CALLS if calls else Finish.STOP
    answer = Answer(finish, text, [] if stop is not None else calls, _thinking(ask), stop)
    if ask.max_tokens is not None and answer.tokens > ask.max_tokens:
        _cut(answer, ask.max_tokens)
    return answer


def _thinking(ask: Ask) -> list[str]:
    if not ask.thinking_tokens:
        return []
    pieces = prose(ask.seed + 1, "")
    return (pieces * (ask.thinking_tokens // len(pieces) + 1))[: ask.thinking_tokens]


def _text(ask: Ask, ordered: Orders, with_calls: bool) -> tuple[list[str], str | None]:
    if ordered.text is None:
        if with_calls:
            return [], None
        if ask.json_schema is None and not ask.json_object and not ask.stops:
            return prose(ask.seed, ask.turns[-1].text if ask.turns else ""), None
    text = _unordered_text(ask) if ordered.text is None else ordered.text
    cuts = [(at, stop) for stop in ask.stops if (at := text.find(stop)) >= 0]
    if not cuts:
        return split(text), None
    at, stop = min(cuts)
    return split(text[:at]), stop


def _unordered_text(ask: Ask) -> str:
    if ask.json_schema is not None:
        return json.dumps(schemas.instance(ask.json_schema, ask.seed), ensure_ascii=False)
    text = "".join(prose(ask.seed, ask.turns[-1].text if ask.turns else ""))
    return json.dumps({"answer": text}, ensure_ascii=False) if ask.json_object else text


def _calls(ask: Ask, ordered: Orders) -> list[Call]:
    if not ask.tools or ask.choice.mode == "none":
        return []
    allowed = [tool for tool in ask.tools if not ask.choice.names or tool.name in ask.choice.names]
    names = {tool.name for tool in allowed}
    chosen = [(name, arguments) for name, arguments in ordered.calls if name in names]
    if not chosen:
        chosen = [(tool.name, _arguments(tool, ask.seed)) for tool in _due(ask, allowed, ordered)]
    if not ask.choice.parallel:
        chosen = chosen[:1]
    return [Call(name, split(arguments), len(split(name))) for name, arguments in chosen]


def _due(ask: Ask, allowed: list[Tool], ordered: Orders) -> list[Tool]:
    """The tools the last user message mentions, or the first one where a call is required."""
    last = ask.turns[-1] if ask.turns else Turn("user", "")
    mentioned = [tool for tool in allowed if last.role == "user" and _mentions(last.text.lower(), tool.name.lower())]
    if ask.choice.mode in ("required", "named"):
        return mentioned or allowed[:1]
    return mentioned if ordered.text is None else []


def _mentions(text: str, name: str) -> bool:
    return name in text or name.replace("_", " ") in text


def _arguments(tool: Tool, seed: int) -> str:
    made = schemas.instance({"type": "object", **tool.schema}, seed)
    return json.dumps(made, ensure_ascii=False, separators=(",", ":"))


def _cut(answer: Answer, max_tokens: int) -> None:
    """Keep the first ``max_tokens`` tokens, in the order in which they are generated."""
    answer.finish, answer.stop_sequence = Finish.LENGTH, None
    answer.thinking = answer.thinking[:max_tokens]
    left = max_tokens - len(answer.thinking)
    answer.text = answer.text[:left]
    left -= len(answer.text)
    kept: list[Call] = []
    for call in answer.calls:
        if left <= call.name_tokens:
            break
        kept.append(Call(call.name, call.pieces[: left - call.name_tokens], call.name_tokens))
        left -= kept[-1].tokens
    answer.calls = kept
