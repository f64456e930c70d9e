"""docs/compatibility.md says what becomes of every parameter and content; the code does just that."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_type_hints

import orjson
import pytest

from gateway.engine.errors import InvalidRequest
from gateway.engine.words import Wire
from gateway.wires import Untranslatable
from gateway.wires.vocabulary import ANTHROPIC_STOP, OPENAI_FINISH

from .helpers import NEW_CLAUDE, OPENAI, assistant, call, chat, messages, send, tool, tool_result, tool_use, user

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
TABLE = re.compile(r"<!-- table: (\w+) (\w+) (\w+) -->\n\|.*\n\|[ -|]*\n((?:\|.*\n)+)")
EXAMPLE_TARGET = {"openai": "gpt-4o", "anthropic": NEW_CLAUDE}


def rows(kind: str) -> list[tuple[Wire, Wire, list[str]]]:
    found = []
    for what, surface, target, lines in TABLE.findall(PAGE.read_text()):
        if what == kind:
            cells = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in lines.splitlines()]
            found += [(Wire(surface), Wire(target), row) for row in cells]
    return found


def names(rows: list[tuple[Wire, Wire, list[str]]]) -> list[str]:
    return [f"{surface}-{'-'.join(row[:4])}" for surface, _, row in rows]


def plain(cell: str) -> str:
    return cell.strip("`")


def base(surface: Wire) -> dict[str, Any]:
    return chat() if surface is OPENAI else messages(max_tokens=3000)


def at(body: Any, path: str) -> Any:
    for name in path.split("."):
        body = body.get(name) if isinstance(body, dict) else None
    return body


PARAMETERS = rows("parameters")


@pytest.mark.parametrize(("surface", "kind", "row"), PARAMETERS, ids=names(PARAMETERS))
def test_each_parameter_fares_as_the_table_says(surface: Wire, kind: Wire, row: list[str]) -> None:
    name, example, target, verdict = plain(row[0]), orjson.loads(plain(row[1])), plain(row[2]), row[3]
    request = {**base(surface), name: example}
    if verdict == "refused":
        with pytest.raises((Untranslatable, InvalidRequest)) as refusal:
            send(surface, request, target)
        assert (refusal.value.param or "").split("[")[0] == name
        return
    translated = send(surface, request, target)
    body = orjson.loads(translated.body)
    assert any(each.split(".")[0] == name for each in translated.dropped) == (verdict == "dropped")
    without = orjson.loads(send(surface, base(surface), target).body)
    if verdict in ("dropped", "ignored"):
        assert body == without
        return
    for path in row[4].split(", "):
        value = at(body, plain(path))
        assert value is not None, path
        if verdict == "passed":
            assert value == example
        elif name != "model":
            assert value != at(without, plain(path))


def in_message(surface: Wire, where: str, part: dict[str, Any]) -> dict[str, Any]:
    if where == "user":
        return base(surface) | {"messages": [user([part])]}
    if where == "assistant":
        spoken = [{"type": "text", "text": "so"}, part]
        return base(surface) | {"messages": [user("hi"), assistant(spoken), user("go on")]}
    if surface is OPENAI:
        return base(surface) | {
            "messages": [user("hi"), assistant(None, tool_calls=[call("c", "f")]), tool("c", [part])]
        }
    return base(surface) | {
        "messages": [user("hi"), assistant([tool_use("c", "f", {})]), user([tool_result("c", [part])])]
    }


CONTENTS = rows("contents")


@pytest.mark.parametrize(("surface", "kind", "row"), CONTENTS, ids=names(CONTENTS))
def test_each_content_fares_as_the_table_says(surface: Wire, kind: Wire, row: list[str]) -> None:
    where, part, verdict, becomes = row[1], orjson.loads(plain(row[2])), row[3], plain(row[4])
    request = in_message(surface, where, part)
    if verdict == "refused":
        with pytest.raises(Untranslatable) as refusal:
            send(surface, request, EXAMPLE_TARGET[kind])
        assert (refusal.value.param or "").startswith("messages[")
        return
    translated = send(surface, request, EXAMPLE_TARGET[kind])
    assert not translated.dropped
    seen = orjson.dumps(orjson.loads(translated.body)["messages"]).decode()
    if verdict == "ignored":
        assert part["type"] not in seen
    else:
        kind_told = f'"role":"{becomes}"' if becomes == "tool" else f'"type":"{becomes}"'
        assert kind_told in seen or becomes == "text"
        assert all(value in seen for value in texts_of(part))


def texts_of(value: Any) -> list[str]:
    """The words and the data of a part: none of them may get lost."""
    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if name in ("text", "url", "refusal", "title")}
        inner = [each for each in value.values() if isinstance(each, (dict, list))]
        return [each for each in kept.values() if isinstance(each, str) and ";base64," not in each] + texts_of(inner)
    return [found for each in value for found in texts_of(each)] if isinstance(value, list) else []


def test_every_parameter_of_the_official_sdks_has_a_row() -> None:
    from anthropic.types import message_create_params
    from openai.types.chat import completion_create_params

    known = {
        OPENAI: set(get_type_hints(completion_create_params.CompletionCreateParamsBase)),
        Wire.ANTHROPIC: set(get_type_hints(message_create_params.MessageCreateParamsBase)),
    }
    for surface, params in known.items():
        told = {plain(row[0]) for each, _, row in PARAMETERS if each is surface}
        assert params - told == set()


def test_finish_reasons_are_the_tables() -> None:
    told = {(surface, plain(row[0])): plain(row[1]) for surface, _, row in rows("finish")}
    assert {key: value for (wire, key), value in told.items() if wire is Wire.ANTHROPIC} == OPENAI_FINISH
    assert {key: value for (wire, key), value in told.items() if wire is OPENAI} == ANTHROPIC_STOP
