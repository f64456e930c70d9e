"""LiteLLM's proxy: the package's own command, one worker, no database, so it keeps no record of requests."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import load
from bench.peers.install import python_package
from bench.scenarios import CLAUDE, FAILING_MODEL, HELD_MODEL, PACED_MODEL, PLAIN_MODEL, Scenario
from bench.servers import KEY, free_port, process
from bench.systems import PATH, Missing, System

NAME = "LiteLLM"
VERSION = "1.106.2"
# Nothing is fetched, nothing reported: what these switch off would be asked for over the network.
OFF = {
    "LITELLM_TELEMETRY": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "DISABLE_ADMIN_UI": "True",
    "DO_NOT_TRACK": "1",
}
PRODUCTION = {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"}  # as its documents advise


def install(folder: Path) -> Path:
    return python_package(folder / "litellm", f"litellm[proxy]=={VERSION}")


@contextmanager
def started(installed: Path, simulator_url: str, folder: Path) -> Iterator[System]:
    """Raises RuntimeError with the end of its log when it doesn't get ready."""
    home = folder / "litellm"
    home.mkdir()
    (home / "config.yaml").write_text(json.dumps(configuration(simulator_url)))  # JSON is YAML
    port = free_port()
    options = ("--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1")
    environment = {"PATH": f"{installed}:{os.defpath}", "HOME": str(home), "LANG": "C.UTF-8", **OFF, **PRODUCTION}
    command = (str(installed / "litellm"), *options)
    with process(command, port, "/health/liveliness", folder / "litellm.log", environment, home) as server:
        yield System(NAME, server.pid, 0.25, lambda scenario: call(server.port, scenario), VERSION)


def configuration(simulator_url: str) -> dict[str, object]:
    """The same routes as the gateway's: no retries, no cool-down of the primary that always fails."""
    openai = {"api_base": f"{simulator_url}/openai/v1", "api_key": "bench"}
    anthropic = {"api_base": f"{simulator_url}/anthropic", "api_key": "bench"}
    targets = {
        "plain": {"model": f"openai/{PLAIN_MODEL}", **openai},
        "cached": {"model": f"openai/{PLAIN_MODEL}", **openai},
        "paced": {"model": f"openai/{PACED_MODEL}", **openai},
        "held": {"model": f"openai/{HELD_MODEL}", **openai},
        "translated": {"model": f"anthropic/{CLAUDE}", **anthropic},
        "fallback": {"model": f"openai/{FAILING_MODEL}", **openai},
    }
    return {
        "model_list": [{"model_name": name, "litellm_params": target} for name, target in targets.items()],
        "litellm_settings": {
            "telemetry": False,
            "num_retries": 0,
            "cache": True,
            "cache_params": {"type": "local", "mode": "default_off"},
            "fallbacks": [{"fallback": ["translated"]}],
        },
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"master_key": KEY},
    }


def call(port: int, scenario: Scenario) -> load.Call | Missing:
    more = {"cache": {"use-cache": True}} if scenario.route == "cached" else {}
    return load.post("127.0.0.1", port, PATH, scenario.body(scenario.route, more), KEY, scenario.expected)
