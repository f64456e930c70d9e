"""OpenAI's tools and tool choice as Anthropic's, with the tool we force for structured output.

Sources: OpenAI, "Function calling" (allowed tools, strict, parallel calls, the older `functions`); Anthropic,
"Tool use: define tools" (tool_choice auto, any, tool, none; disable_parallel_tool_use), "Tool use: strict tool use".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway.engine.catalogue import ModelTraits
from gateway.engine.errors import InvalidRequest
from gateway.wires.schemas import takes_strict, tool_schema
from gateway.wires.words import Untranslatable

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}


class Toolbox:
    """The tools of one request and how the model is to choose among them."""

    __slots__ = ("answer_tool", "choice", "dropped", "instructions", "legacy", "parallel", "tools")

    def __init__(self) -> None:
        self.tools: list[dict[str, Any]] = []
        self.choice: dict[str, Any] | None = None
        self.parallel = True
        self.legacy = False
        self.answer_tool: str | None = None
        self.instructions: list[str] = []  # for the system prompt
        self.dropped: list[str] = []

    @property
    def forced(self) -> bool:
        return self.choice is not None and self.choice["type"] in ("any", "tool")

    def force_answer(self, name: str, description: str, schema: dict[str, Any]) -> None:
        """Make the model answer through a tool: only through it, or through it or the client's own tools."""
        if self.choice is not None and self.choice["type"] == "tool":
            return
        own_tools = bool(self.tools) and not (self.choice is not None and self.choice["type"] == "none")
        self.answer_tool = self._free_name(_NOT_IN_NAMES.sub("_", name)[:60] or "json_answer")
        self.tools.append({"name": self.answer_tool, "description": description, "input_schema": tool_schema(schema)})
        self.choice = {"type": "any"} if own_tools else {"type": "tool", "name": self.answer_tool}
        self.parallel = self.parallel and own_tools  # one answer, not several

    def ask_instead_of_forcing(self) -> None:
        """Some models refuse a forced call (Anthropic, "What's new in Claude Opus 5.5"); they are asked for it."""
        if self.choice is None or not self.forced:
            return
        called = f"the tool {self.choice['name']!r}" if self.choice["type"] == "tool" else "one or more of your tools"
        self.instructions.append(f"Your answer must be a call of {called}, whatever else has been said.")
        self.choice = {"type": "auto"}
        self.dropped.append("function_call" if self.legacy else "tool_choice")

    def has(self, function: Any) -> bool:
        """Whether this is an object that names one of the tools."""
        name = function.get("name") if isinstance(function, dict) else None
        return any(tool["name"] == name for tool in self.tools)

    def _free_name(self, name: str) -> str:
        taken = {tool["name"] for tool in self.tools}
        while name in taken:
            name += "_"
        return name

    def write(self, body: dict[str, Any]) -> None:
        if not self.tools:
            self._define_called(body)
            return
        body["tools"] = self.tools
        choice = self.choice
        if not self.parallel and (choice is None or choice["type"] != "none"):
            choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
        if choice is not None:
            body["tool_choice"] = choice

    def _define_called(self, body: dict[str, Any]) -> None:
        """A conversation with tool calls in it needs their definitions, though none may be called now."""
        names = {
            block["name"]: None
            for message in body["messages"]
            if isinstance(message["content"], list)
            for block in message["content"]
            if block["type"] == "tool_use"
        }
        if names:
            body["tools"] = [{"name": name, "input_schema": {"type": "object"}} for name in names]
            body["tool_choice"] = {"type": "none"}


def read_tools(payload: Mapping[str, Any], traits: ModelTraits) -> Toolbox:
    """Raises InvalidRequest for malformed tools, Untranslatable for kinds of tools this target has not."""
    functions = payload.get("functions")
    if isinstance(functions, list) and not payload.get("tools"):
        toolbox = _read_functions(functions, payload.get("function_call"), traits)
    else:
        toolbox = _read_tools(payload, traits)
    if not traits.takes_forced_tools:
        toolbox.ask_instead_of_forcing()
    return toolbox


def _read_functions(functions: list[Any], choice: Any, traits: ModelTraits) -> Toolbox:
    toolbox = Toolbox()
    toolbox.legacy = True
    toolbox.tools = [_tool(function, f"functions[{at}]", traits) for at, function in enumerate(functions)]
    toolbox.choice = _legacy_choice(toolbox, choice) if functions else None
    toolbox.parallel = False
    return toolbox


def _read_tools(payload: Mapping[str, Any], traits: ModelTraits) -> Toolbox:
    toolbox = Toolbox()
    for at, tool in enumerate(payload.get("tools") or ()):
        if tool.get("type") != "function":
            raise Untranslatable(f"tools[{at}].type", f"This target has no tools of type {tool.get('type')!r}.")
        toolbox.tools.append(_tool(tool.get("function"), f"tools[{at}].function", traits))
    toolbox.parallel = payload.get("parallel_tool_calls") is not False
    if toolbox.tools:
        _choose(toolbox, payload.get("tool_choice"))
    return toolbox


def _tool(function: Any, where: str, traits: ModelTraits) -> dict[str, Any]:
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise InvalidRequest(f"'{where}' must be an object with a 'name'.", param=where)
    parameters = function.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise InvalidRequest(f"'{where}.parameters' must be a JSON schema.", param=f"{where}.parameters")
    schema = tool_schema(parameters or {})
    tool: dict[str, Any] = {"name": function["name"], "input_schema": schema}
    if isinstance(function.get("description"), str):
        tool["description"] = function["description"]
    if function.get("strict") is True and traits.takes_json_schema and takes_strict(schema):
        tool["strict"] = True
    return tool


def _choose(toolbox: Toolbox, choice: Any) -> None:
    if choice is None:
        return
    if isinstance(choice, str) and choice in _CHOICES:
        toolbox.choice = {"type": _CHOICES[choice]}
    elif isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        _allow(toolbox, choice.get("allowed_tools"))
    else:
        toolbox.choice = _named(toolbox, choice.get("function") if isinstance(choice, dict) else None)


def _allow(toolbox: Toolbox, allowed: Any) -> None:
    mode = allowed.get("mode") if isinstance(allowed, dict) else None
    if mode not in ("auto", "required"):
        raise InvalidRequest("'tool_choice.allowed_tools.mode' must be 'auto' or 'required'.", param="tool_choice")
    names = {
        tool["function"].get("name")
        for tool in allowed.get("tools") or ()
        if isinstance(tool, dict) and isinstance(tool.get("function"), dict)
    }
    toolbox.tools = [tool for tool in toolbox.tools if tool["name"] in names]
    toolbox.choice = {"type": _CHOICES[mode]}


def _named(toolbox: Toolbox, function: Any) -> dict[str, Any]:
    if not toolbox.has(function):
        raise InvalidRequest(
            "'tool_choice' must be 'none', 'auto', 'required' or name a function in 'tools'.",
            param="tool_choice",
        )
    return {"type": "tool", "name": function["name"]}


def _legacy_choice(toolbox: Toolbox, choice: Any) -> dict[str, Any] | None:
    if choice is None:
        return None
    if toolbox.has(choice):
        return {"type": "tool", "name": choice["name"]}
    if choice in ("auto", "none"):
        return {"type": choice}
    raise InvalidRequest(
        "'function_call' must be 'none', 'auto' or name a function in 'functions'.", param="function_call"
    )
