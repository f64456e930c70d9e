"""What of a request costs more than its bytes tell: content that lies elsewhere, tools that run at the provider, prices
of their own.

Sources: OpenAI, "API reference: Create chat completion", "Images and vision", "Priority processing", "Flex processing";
Anthropic, "Vision", "PDF support", "Tool use: server tools", "Fast mode", "Data residency".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.engine.words import Wire

# Their text is in the request, so its bytes bound them.
_TEXT_PARTS = frozenset(
    {"text", "refusal", "tool_use", "thinking", "redacted_thinking", "tool_result", "search_result"}
)
# Tools that run at the client; Anthropic dates its own (`bash_20250124`) and gives them a prompt, nothing else.
_CLIENT_TOOLS = frozenset({None, "function", "custom"})
_DATED_CLIENT_TOOLS = ("bash_", "text_editor_", "computer_", "memory_")
# Run at the provider; each search is counted in the usage, and fetching a page costs its tokens only ("Web search
# tool", "Web fetch tool").
_COUNTED_TOOLS = ("web_search_", "web_fetch_")
# Values that ask for the list price; "auto" is what leaving it out means.
_LIST_PRICE: Mapping[str, frozenset[Any]] = {
    "service_tier": frozenset({None, "auto", "default", "standard", "standard_only"}),
    "speed": frozenset({None, "standard"}),
    "inference_geo": frozenset({None, "global"}),
}


@dataclass(frozen=True, slots=True)
class Costs:
    """`unbounded` names a part whose cost the request doesn't tell, `has_fees` says that among those are tools with
    fees that the usage doesn't tell; `inline_images` counts the images sent along; `surcharges` are the parameters
    that change the price."""

    unbounded: str | None
    has_fees: bool
    inline_images: int
    surcharges: tuple[str, ...]


def costs_of(surface: Wire, payload: Mapping[str, Any]) -> Costs:
    """Of a Chat Completions or Messages request whose messages and tools have been checked."""
    tools = list(_provider_tools(surface, payload))
    unbounded, images = (tools[0][0] if tools else _kept_turns(payload)), 0
    for where, part in _media(payload["messages"]):
        if _is_inline_image(part):
            images += 1
        else:
            unbounded = unbounded or where
    return Costs(unbounded, any(has_fees for _, has_fees in tools), images, surcharges_of(payload))


def _kept_turns(payload: Mapping[str, Any]) -> str | None:
    """Anthropic's "Message threads": the turns before these lie at the provider, who bills them with these."""
    thread = payload.get("thread")
    return "thread" if isinstance(thread, dict) and thread.get("type") == "continue" else None


def surcharges_of(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """The parameters that ask for another price than the list price."""
    return tuple(name for name, usual in _LIST_PRICE.items() if not _is_one_of(payload.get(name), usual))


def _is_one_of(value: Any, usual: frozenset[Any]) -> bool:
    return value is None or (isinstance(value, str) and value in usual)


def _provider_tools(surface: Wire, payload: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Names of parameters that make the provider do more than write (search, run code, call servers, speak), and
    whether that has fees which the usage doesn't tell."""
    for index, tool in enumerate(payload.get("tools") or ()):
        if not _runs_at_client(tool.get("type")):
            yield f"tools[{index}]", surface is Wire.OPENAI or not _is_counted(tool.get("type"))
    names = ("web_search_options", "audio") if surface is Wire.OPENAI else ("mcp_servers",)
    yield from ((name, True) for name in names if _asks_for(payload.get(name)))


def _is_counted(kind: Any) -> bool:
    return isinstance(kind, str) and kind.startswith(_COUNTED_TOOLS)


def _asks_for(value: Any) -> bool:
    """An empty object asks for a search with every default; an empty list names no servers."""
    return value is not None and value is not False and value != []


def _runs_at_client(kind: Any) -> bool:
    if kind is not None and not isinstance(kind, str):
        return False
    return kind in _CLIENT_TOOLS or (kind is not None and kind.startswith(_DATED_CLIENT_TOOLS))


def _media(messages: list[dict[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for index, message in enumerate(messages):
        if message.get("audio"):
            yield f"messages[{index}].audio", message
        for position, part in enumerate(_parts(message.get("content"))):
            where = f"messages[{index}].content[{position}]"
            yield from ((where, inner) for inner in _media_in(part))


def _media_in(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The part itself, or those inside a tool's result or a document that is given as parts."""
    kind = part.get("type")
    source = part.get("source")
    if kind == "document" and isinstance(source, dict) and source.get("type") in ("text", "content"):
        inner = _parts(source.get("content"))
    elif isinstance(kind, str) and kind in _TEXT_PARTS:
        inner = _parts(part.get("content"))
    else:
        yield part
        return
    for each in inner:
        yield from _media_in(each)


def _is_inline_image(part: Mapping[str, Any]) -> bool:
    kind, source, image = part.get("type"), part.get("source"), part.get("image_url")
    if kind == "image":
        return isinstance(source, dict) and source.get("type") == "base64"
    url = image.get("url") if isinstance(image, dict) else image
    return kind == "image_url" and isinstance(url, str) and url[:5].lower() == "data:"


def _parts(content: Any) -> list[dict[str, Any]]:
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
