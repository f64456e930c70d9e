"""A whole gateway in a process of its own, in front of a simulator: what the tests that look from outside drive.

Its configuration, data and secrets live in a temporary folder; it talks to nothing but the simulator.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

AGENT_KEY = "sk-llmops-test-agents-0123456789abcdef"
OTHER_TEAM_KEY = "sk-llmops-test-other-team-0123456789abcdef"
NARROW_KEY = "sk-llmops-test-narrow-0123456789abcdef"
OPERATOR_KEY = "sk-llmops-test-operator-0123456789abcdef"
READY_SECONDS = 60.0
STOP_SECONDS = 20.0
ROOT = Path(__file__).resolve().parent.parent

GPT_4_TURBO = {"provider": "openai", "model": "gpt-4-turbo"}
CLAUDE = {"provider": "anthropic", "model": "claude-3-5-sonnet-20241022"}


def configuration(simulator_url: str, **sections: Any) -> dict[str, Any]:
    """The demonstration's shape with short waits; `sections` replace whole sections."""
    document: dict[str, Any] = {
        "providers": [
            provider("openai", f"{simulator_url}/openai/v1"),
            provider("anthropic", f"{simulator_url}/anthropic"),
        ],
        "routes": [
            {"name": "default", "aliases": ["gpt-4-turbo"], "targets": [GPT_4_TURBO, CLAUDE]},
            {"name": "claude", "aliases": ["claude-3-5-sonnet-20241022"], "targets": [CLAUDE, GPT_4_TURBO]},
            {"name": "openai-only", "targets": [GPT_4_TURBO]},
            {"name": "anthropic-only", "targets": [CLAUDE]},
        ],
        "teams": [{"name": "research"}, {"name": "sales"}],
        "api_keys": [
            {"name": "agents", "key": AGENT_KEY, "team": "research"},
            {"name": "sales agents", "key": OTHER_TEAM_KEY, "team": "sales"},
            {"name": "narrow", "key": NARROW_KEY, "team": "research", "routes": ["claude"]},
            {"name": "operator", "key": OPERATOR_KEY, "role": "operator"},
        ],
        "prices": [
            {"kind": "openai", "model": "gpt-4-turbo", "input_per_mtok": "10", "output_per_mtok": "30"},
            {
                "kind": "anthropic",
                "model": "claude-3-5-sonnet-20241022",
                "input_per_mtok": "3",
                "cached_input_per_mtok": "0.30",
                "cache_write_per_mtok": "3.75",
                "output_per_mtok": "15",
            },
        ],
        "budgets": [],
    }
    return {**document, **sections}


def provider(name: str, base_url: str, **fields: Any) -> dict[str, Any]:
    """A provider of the kind it is named after, whose retries wait a hundredth of the usual time."""
    return {
        "name": name,
        "kind": name,
        "base_url": base_url,
        "api_key": f"sk-simulated-{name}",
        "backoff_seconds": 0.005,
        "backoff_max_seconds": 0.02,
        **fields,
    }


@dataclass(frozen=True, slots=True)
class GatewayProcess:
    url: str
    pid: int
    data_dir: Path
    log_path: Path

    def get(self, path: str, key: str = OPERATOR_KEY) -> Any:
        request = urllib.request.Request(self.url + path, headers={"authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply)

    def post(self, path: str, body: Any, key: str = OPERATOR_KEY) -> Any:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply)

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def apply(self, document: dict[str, Any]) -> None:
        """Change the configuration while it runs."""
        run_apply(self.data_dir, document)


@contextmanager
def gateway_process(
    folder: Path, document: dict[str, Any], *options: str, env: Mapping[str, str] | None = None
) -> Iterator[GatewayProcess]:
    """A gateway with this configuration, ready to serve; stopped at the end.

    `options` are the worker's own, `env` adds environment variables.
    """
    data_dir = folder / "data"
    make_tables(data_dir)
    run_apply(data_dir, document)
    with another_gateway(data_dir, folder / "gateway.log", *options, env=env) as gateway:
        yield gateway


@contextmanager
def another_gateway(
    data_dir: Path, log_path: Path, *options: str, env: Mapping[str, str] | None = None
) -> Iterator[GatewayProcess]:
    """One more gateway process of an installation that has its tables and configuration."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener, log_path.open("wb") as log:
        listener.set_inheritable(True)
        command = [sys.executable, "-m", "gateway.supervisor.web", "--fd", str(listener.fileno()), *options]
        variables = {**environment(data_dir), **(env or {})}
        child = subprocess.Popen(command, cwd=ROOT, env=variables, pass_fds=[listener.fileno()], stdout=log, stderr=log)
        gateway = GatewayProcess(f"http://127.0.0.1:{listener.getsockname()[1]}", child.pid, data_dir, log_path)
        try:
            wait_until_ready(gateway, child)
            yield gateway
        finally:
            stop(child)


def environment(data_dir: Path) -> dict[str, str]:
    unwanted = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "DJANGO_SETTINGS_MODULE")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {**kept, "LLMOPS_DATA_DIR": str(data_dir), "PYTHONPATH": str(ROOT)}


def manage(data_dir: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    command = [sys.executable, "manage.py", *arguments]
    variables = {**environment(data_dir), **(env or {})}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_tables(data_dir: Path) -> None:
    """What `manage.py migrate` makes of an empty folder, copied: the migrations are the same for all."""
    data_dir.mkdir(parents=True, exist_ok=True)
    for file in _migrated().glob("llmops.sqlite3*"):
        shutil.copy(file, data_dir)


@cache
def _migrated() -> Path:
    """Once for each process of tests."""
    folder = Path(tempfile.mkdtemp(prefix="llmops-tables-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    manage(folder, "migrate", "--verbosity", "0", "--skip-checks")
    return folder


def run_apply(data_dir: Path, document: dict[str, Any], env: Mapping[str, str] | None = None) -> None:
    path = data_dir / "applied.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML, without anchors
    manage(data_dir, "apply", str(path), "--skip-checks", env=env)


def wait_until_ready(gateway: GatewayProcess, child: subprocess.Popen[bytes]) -> None:
    """Ready is a fact that has to be waited for; the wait ends with it."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        assert child.poll() is None, f"the gateway ended:\n{gateway.log()}"
        try:
            with urllib.request.urlopen(gateway.url + "/readyz", timeout=5) as reply:
                if reply.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"the gateway was not ready within {READY_SECONDS:g} s:\n{gateway.log()}")


def stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        raise
