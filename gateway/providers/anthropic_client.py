"""The client of Anthropic's SDK, imported without what its package takes in beside it: clients for other clouds,
helpers for tools and streams. They are 16 MB and half of the import's time (docs/decisions/0026-lean-processes.md).

In a process that comes here first `anthropic.AnthropicBedrock` and its like are missing; `anthropic.lib.bedrock`
is not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_LEFT_OUT = ("aws", "bedrock", "foundry", "google_cloud", "middleware", "streaming", "tools", "vertex")


class _NotImported:
    """Stands for a name of a module that is left out, while the SDK's package takes it in."""


class _Empty(ModuleType):
    __all__: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> type[_NotImported]:
        return _NotImported


@contextmanager
def _left_out() -> Iterator[None]:
    """Empty modules take the places meanwhile; afterwards the real ones may be imported."""
    empty = {name: _Empty(name) for name in (f"anthropic.lib.{module}" for module in _LEFT_OUT)}
    sys.modules.update(empty)
    try:
        yield
    finally:
        for name in empty:
            del sys.modules[name]


def _import_without() -> None:
    with _left_out():
        import anthropic
    for name in [name for name, value in vars(anthropic).items() if value is _NotImported]:
        delattr(anthropic, name)


if "anthropic" not in sys.modules:
    _import_without()

from anthropic import AsyncAnthropic  # noqa: E402

__all__ = ["AsyncAnthropic"]
