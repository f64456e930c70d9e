"""Portkey's open gateway: one Node process; provider and fallback stand in headers of each request, as it wants them.

It checks no key and keeps no record of requests.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import load
from bench.peers.install import node_package
from bench.scenarios import CLAUDE, FAILING_MODEL, Scenario
from bench.servers import free_port, process
from bench.systems import PATH, Missing, System

NAME = "Portkey"
VERSION = "1.15.2"
# With the newer ones that its package.json allows, streams end in "TypeError: immutable" (Portkey-AI/gateway#1389).
PINNED = {"@hono/node-server": "1.13.8", "hono": "4.9.7"}
PROVIDER_KEY = "bench"  # it passes the caller's bearer token on to the provider


def install(folder: Path) -> Path:
    return node_package(folder / "portkey", "@portkey-ai/gateway", VERSION, PINNED)


@contextmanager
def started(installed: Path, simulator_url: str, folder: Path) -> Iterator[System]:
    """Raises RuntimeError with the end of its log when it doesn't get ready."""
    port = free_port()
    node = shutil.which("node") or "node"
    command = (node, str(installed / "build" / "start-server.js"), f"--port={port}", "--headless")
    environment = {"PATH": os.defpath, "HOME": str(folder), "LANG": "C.UTF-8", "NODE_ENV": "production"}
    with process(command, port, "/", folder / "portkey.log", environment, folder) as server:
        yield System(NAME, server.pid, 1, lambda scenario: call(server.port, simulator_url, scenario), VERSION)


def call(port: int, simulator_url: str, scenario: Scenario) -> load.Call | Missing:
    if scenario.route == "cached":
        return Missing("the package has no response cache")
    openai, anthropic = f"{simulator_url}/openai/v1", f"{simulator_url}/anthropic/v1"
    if scenario.route == "fallback":
        headers = {"x-portkey-config": json.dumps(_fallback(openai, anthropic))}
        body = scenario.body(FAILING_MODEL)
    elif scenario.model is None:
        headers = {"x-portkey-provider": "anthropic", "x-portkey-custom-host": anthropic}
        body = scenario.body(CLAUDE)
    else:
        headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": openai}
        body = scenario.body(scenario.model)
    return load.post("127.0.0.1", port, PATH, body, PROVIDER_KEY, scenario.expected, headers)


def _fallback(openai: str, anthropic: str) -> dict[str, object]:
    return {
        "strategy": {"mode": "fallback"},
        "targets": [
            {"provider": "openai", "api_key": PROVIDER_KEY, "custom_host": openai},
            {
                "provider": "anthropic",
                "api_key": PROVIDER_KEY,
                "custom_host": anthropic,
                "override_params": {"model": CLAUDE},
            },
        ],
    }
