"""Which caller speaks for which provider, kept as long as its configuration stays the same or somebody uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gateway.engine.configuration import Provider
from gateway.engine.drill import Injection
from gateway.engine.exchange import Caller
from gateway.engine.words import Wire

if TYPE_CHECKING:
    from gateway.providers.caller import HttpCaller
    from gateway.providers.drill import Sleep

Settings = tuple[Any, ...]


def make_caller(provider: Provider) -> HttpCaller:
    """A caller for this provider. The SDKs take a second to import, so that is left until one is needed."""
    return _FACTORIES[provider.kind](provider)


def _openai(provider: Provider) -> HttpCaller:
    from gateway.providers.openai import OpenAICaller

    return OpenAICaller(provider)


def _anthropic(provider: Provider) -> HttpCaller:
    from gateway.providers.anthropic import AnthropicCaller

    return AnthropicCaller(provider)


_FACTORIES: dict[Wire, Callable[[Provider], HttpCaller]] = {Wire.OPENAI: _openai, Wire.ANTHROPIC: _anthropic}


def drilled_caller(caller: HttpCaller, provider: Provider, drill: Injection, sleep: Sleep) -> Caller:
    """The caller as a fire drill has it behave. Imported when there is a drill."""
    from gateway.providers.drill import DrilledCaller

    return DrilledCaller(caller, provider, drill, sleep)


def import_sdks(kinds: Iterable[Wire]) -> None:
    """Import the SDKs of these vendors now, so that no request waits for it. Slow: not for the event loop."""
    for kind in kinds:
        import_module(f"gateway.providers.{kind.value}")


class Callers:
    """One caller per provider and connection settings; belongs to one event loop.

    Requests that began under other settings go on with theirs: what is not wanted any more is closed when its last
    answer or stream has ended.
    """

    def __init__(self) -> None:
        self._callers: dict[Settings, HttpCaller] = {}
        self._wanted: frozenset[Settings] | None = None  # None: nobody has said yet, so all of them
        self._closing: set[asyncio.Task[None]] = set()

    def of(self, provider: Provider) -> HttpCaller:
        """To be used at once: between two uses an unwanted one is closed."""
        settings = _connection_settings(provider)
        caller = self._callers.get(settings)
        if caller is None:
            caller = self._callers[settings] = make_caller(provider)
            caller.on_idle = lambda: self._idle(settings)
        return caller

    def want(self, providers: Iterable[Provider]) -> None:
        """These are the providers as they are configured now."""
        self._wanted = frozenset(_connection_settings(provider) for provider in providers)
        for settings in list(self._callers):
            self._idle(settings)

    def _idle(self, settings: Settings) -> None:
        caller = self._callers.get(settings)
        if caller is None or caller.in_use or self._wanted is None or settings in self._wanted:
            return
        del self._callers[settings]
        task = asyncio.get_running_loop().create_task(caller.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        callers = list(self._callers.values())
        self._callers.clear()
        for caller in callers:
            await caller.aclose()
        await asyncio.gather(*self._closing, return_exceptions=True)


def _connection_settings(provider: Provider) -> Settings:
    headers = tuple(sorted(provider.extra_headers.items()))
    connect_seconds = provider.timeouts.connect_seconds
    key = provider.api_key
    return (provider.name, provider.kind, provider.base_url, key, headers, connect_seconds, provider.max_in_flight)
