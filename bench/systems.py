"""What is measured side by side: each a server that answers the scenarios, or says why it can't."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench import load
from bench.scenarios import Scenario
from bench.servers import KEY, Server, Servers

DIRECT, PASS_THROUGH, GATEWAY = "direct", "pass-through", "gateway"
PATH = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a system has no figure for a scenario."""

    reason: str


@dataclass(frozen=True, slots=True)
class System:
    """`share` of a scenario's requests are sent to it in a round: cheap ones need more, dear ones take too long.

    `pid` is the root of its process tree; None has nothing of its own to measure but time.
    """

    name: str
    pid: int | None
    share: float
    call: Callable[[Scenario], load.Call | Missing]
    version: str = ""

    def requests(self, scenario: Scenario) -> int:
        return max(scenario.connections, round(scenario.requests * self.share))


def own_systems(running: Servers) -> list[System]:
    """Straight to the provider, the yardstick, and the gateway."""
    return [
        System(DIRECT, None, 0.5, lambda scenario: _untranslated(running.simulator, f"/openai{PATH}", scenario)),
        # So many more: the kernel counts CPU time in steps of 10 ms.
        System(PASS_THROUGH, running.passthrough.pid, 4, lambda it: _untranslated(running.passthrough, PATH, it)),
        System(GATEWAY, running.gateway.pid, 1, lambda scenario: _routed(running.gateway, scenario)),
    ]


def _untranslated(server: Server, path: str, scenario: Scenario) -> load.Call | Missing:
    if scenario.model is None:
        return Missing("bytes pass as they are: no translation, no cache, no fallback")
    body = scenario.body(scenario.model)
    return load.post("127.0.0.1", server.port, path, body, KEY, scenario.expected)


def _routed(server: Server, scenario: Scenario) -> load.Call:
    return load.post("127.0.0.1", server.port, PATH, scenario.body(scenario.route), KEY, scenario.expected)
