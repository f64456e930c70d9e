"""Which caller speaks for which provider, kept as long as its configuration stays the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from gateway.engine.configuration import Provider
from gateway.engine.exchange import Caller
from gateway.engine.words import Wire


def make_caller(provider: Provider) -> Caller:
    """A caller for this provider. The SDKs take a second to import, so that is left until one is needed."""
    return _FACTORIES[provider.kind](provider)


def _openai(provider: Provider) -> Caller:
    from gateway.providers.openai import OpenAICaller

    return OpenAICaller(provider)


def _anthropic(provider: Provider) -> Caller:
    from gateway.providers.anthropic import AnthropicCaller

    return AnthropicCaller(provider)


_FACTORIES: dict[Wire, Callable[[Provider], Caller]] = {Wire.OPENAI: _openai, Wire.ANTHROPIC: _anthropic}


def import_sdks(kinds: Iterable[Wire]) -> None:
    """Import the SDKs of these vendors now, so that no request waits for it. Slow: not for the event loop."""
    for kind in kinds:
        import_module(f"gateway.providers.{kind.value}")


class Callers:
    """One caller per provider; belongs to one event loop.

    When a provider's connection settings change, new attempts use a new caller, and the old one is closed once its last
    stream must have ended.
    """

    def __init__(self) -> None:
        self._callers: dict[str, tuple[tuple[Any, ...], Caller]] = {}
        self._retired: dict[asyncio.Task[None], Caller] = {}

    def of(self, provider: Provider) -> Caller:
        settings = _connection_settings(provider)
        known = self._callers.get(provider.name)
        if known is not None and known[0] == settings:
            return known[1]
        caller = make_caller(provider)
        self._callers[provider.name] = (settings, caller)
        if known is not None:
            self._retire(known[1], max(provider.timeouts.stream_max_seconds, provider.timeouts.attempt_seconds))
        return caller

    def _retire(self, caller: Caller, after_seconds: float) -> None:
        task = asyncio.get_running_loop().create_task(_close_later(caller, after_seconds))
        self._retired[task] = caller
        task.add_done_callback(lambda done: self._retired.pop(done, None))

    async def aclose(self) -> None:
        callers = [*self._retired.values(), *(caller for _, caller in self._callers.values())]
        for task in list(self._retired):
            task.cancel()
        self._callers.clear()
        for caller in callers:
            await caller.aclose()


def _connection_settings(provider: Provider) -> tuple[Any, ...]:
    headers = tuple(sorted(provider.extra_headers.items()))
    connect_seconds = provider.timeouts.connect_seconds
    return (provider.kind, provider.base_url, provider.api_key, headers, connect_seconds, provider.max_in_flight)


async def _close_later(caller: Caller, after_seconds: float) -> None:
    await asyncio.sleep(after_seconds)
    await caller.aclose()
