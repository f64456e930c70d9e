"""YAML as the configuration file uses it: plain data only, no surprises.

YAML 1.1 would read `on` as true, `12:30` as 750 and `010` as 8. Here only true/false are booleans, numbers are decimal
(and exact), times stay text. Anchors, tags, merge keys and repeated keys are refused, depth and size are bounded.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

MAX_FILE_BYTES = 1024 * 1024
MAX_DEPTH = 12
MAX_NODES = 50_000

NUMBER = re.compile(r"^[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?$")
NUMBER_TAG = "tag:yaml.org,2002:float"


class YamlProblem(Exception):
    """The text is not usable YAML. `str()` says where and why and repeats none of the text's values."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise YamlProblem(f"{_place(event.start_mark)}: anchors and aliases (& and *) are not supported")
        self._depth += 1
        self._nodes += 1
        if self._depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise YamlProblem(f"{_place(event.start_mark)}: nested too deeply or too long")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, ScalarNode):
                raise YamlProblem(f"{_place(key.start_mark)}: a key must be a plain word")
            if key.value in seen:
                raise YamlProblem(f"{_place(key.start_mark)}: the key {key.value[:60]!r} appears twice")
            seen.add(key.value)
            key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep=deep)


def _number(loader: Any, node: ScalarNode) -> Decimal:
    return Decimal(node.value)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(NUMBER_TAG, NUMBER, list("-+.0123456789"))
_Loader.add_constructor(NUMBER_TAG, _number)


class _Dumper(yaml.SafeDumper):
    """Quotes every text that either YAML 1.1 or `_Loader` would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_implicit_resolver(NUMBER_TAG, NUMBER, list("-+.0123456789"))


def yaml_read(text: str) -> Any:
    """Mappings, lists, text, booleans, None and `Decimal`. Raises YamlProblem."""
    if len(text.encode()) > MAX_FILE_BYTES:
        raise YamlProblem(f"the file is larger than {MAX_FILE_BYTES // 1024} KiB")
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise YamlProblem(f"{_place(error.problem_mark)}: {error.problem or 'not YAML'}") from None
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError) as error:
        raise YamlProblem(f"not YAML ({type(error).__name__})") from None


def yaml_write(data: Any) -> str:
    """Text that `yaml_read` reads back as the same data."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=160, default_flow_style=None)


def _place(mark: Any) -> str:
    return "the file" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"
