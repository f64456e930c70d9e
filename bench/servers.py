"""The servers of a benchmark run: simulator, gateway and pass-through, each a process, in a folder of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.passthrough import UPSTREAM
from bench.scenarios import FAILING_MODEL, HELD_MODEL, PACED_MODEL

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 15.0
PACE_SECONDS = 0.01
HELD_PACE_SECONDS = 1.0

# Every part of a request's way is on: three budgets that apply, conversations, recording; one target each, and for the
# fallback a primary that always fails, is not retried, and whose breaker does not open during the run.
CONFIGURATION = """
providers:
  - {{name: openai, kind: openai, base_url: "{url}/openai/v1", api_key: bench}}
  - {{name: anthropic, kind: anthropic, base_url: "{url}/anthropic", api_key: bench}}
  - name: failing
    kind: openai
    base_url: "{url}/openai/v1"
    api_key: bench
    retries: 0
    breaker: {{failure_threshold: 1000, cooldown_seconds: 60}}
routes:
  - {{name: plain, targets: [{{provider: openai, model: gpt-4-turbo}}]}}
  - {{name: cached, targets: [{{provider: openai, model: gpt-4-turbo}}], cache: {{enabled: true}}}}
  - {{name: paced, targets: [{{provider: openai, model: {paced}}}]}}
  - {{name: held, targets: [{{provider: openai, model: {held}}}]}}
  - {{name: translated, targets: [{{provider: anthropic, model: claude-3-5-sonnet-20241022}}]}}
  - name: fallback
    targets:
      - {{provider: failing, model: {failing}}}
      - {{provider: anthropic, model: claude-3-5-sonnet-20241022}}
teams: [{{name: bench}}]
api_keys: [{{name: bench, key: {key}, team: bench}}]
prices:
  - {{kind: openai, model: gpt-4-turbo, input_per_mtok: "10", output_per_mtok: "30"}}
  - {{kind: openai, model: {paced}, input_per_mtok: "10", output_per_mtok: "30"}}
  - {{kind: openai, model: {held}, input_per_mtok: "10", output_per_mtok: "30"}}
  - {{kind: openai, model: {failing}, input_per_mtok: "30", output_per_mtok: "60"}}
  - {{kind: anthropic, model: claude-3-5-sonnet-20241022, input_per_mtok: "3", output_per_mtok: "15"}}
budgets:
  - {{name: all, scope: global, window: month, limit_usd: "100000", enforcement: block}}
  - {{name: team, scope: team, subject: bench, window: day, limit_usd: "100000", enforcement: block}}
  - {{name: conversation, scope: conversation, window: total, limit_usd: "100000", enforcement: block}}
"""
KEY = "sk-llmops-bench-0123456789abcdef0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Server:
    pid: int
    port: int


@dataclass(frozen=True, slots=True)
class Servers:
    simulator: Server
    gateway: Server
    passthrough: Server


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Starts all three; what they log goes into files of the folder."""
    with ExitStack() as stack:
        simulator = stack.enter_context(simulator_process(folder))
        url = f"http://127.0.0.1:{simulator.port}"
        _add_faults(url)
        environment = _gateway_environment(folder)
        _configure(folder, url, environment)
        gateway = stack.enter_context(_web("llmops.asgi:application", "/readyz", folder / "gateway.log", environment))
        upstream = {UPSTREAM: f"{url}/openai"}
        log = folder / "passthrough.log"
        passthrough = stack.enter_context(_web("bench.passthrough:application", "/healthz", log, upstream))
        yield Servers(simulator, gateway, passthrough)


@contextmanager
def simulator_process(folder: Path) -> Iterator[Server]:
    port = free_port()
    command = (sys.executable, "manage.py", "simulate", "--port", str(port))
    with process(command, port, "/control/health", folder / "simulator.log", os.environ) as simulator:
        yield simulator


def _gateway_environment(folder: Path) -> dict[str, str]:
    unset = dict.fromkeys(("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL"), "")
    return {**unset, "LLMOPS_DATA_DIR": str(folder / "data"), "LLMOPS_ENV": "demo"}


def _configure(folder: Path, url: str, environment: Mapping[str, str]) -> None:
    file = folder / "bench.yaml"
    models = {"paced": PACED_MODEL, "held": HELD_MODEL, "failing": FAILING_MODEL}
    file.write_text(CONFIGURATION.format(url=url, key=KEY, **models))
    for arguments in (("migrate", "--verbosity", "0"), ("apply", str(file))):
        command = (sys.executable, "manage.py", *arguments)
        subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)


def _add_faults(url: str) -> None:
    for fault in (
        {"kind": "slow_tokens", "model": PACED_MODEL, "seconds": PACE_SECONDS},
        {"kind": "slow_tokens", "model": HELD_MODEL, "seconds": HELD_PACE_SECONDS},
        {"kind": "status", "model": FAILING_MODEL, "status": 503},
    ):
        request = urllib.request.Request(f"{url}/control/faults", json.dumps(fault).encode())  # noqa: S310  loopback
        urllib.request.urlopen(request, timeout=5).close()  # noqa: S310


@contextmanager
def _web(app: str, ready_path: str, log: Path, environment: Mapping[str, str]) -> Iterator[Server]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        port = int(listener.getsockname()[1])
        command = (sys.executable, "-m", "gateway.supervisor.web", "--fd", str(listener.fileno()), "--app", app)
        with process(
            command, port, ready_path, log, {**os.environ, **environment}, descriptors=(listener.fileno(),)
        ) as server:
            yield server


@contextmanager
def process(
    command: tuple[str, ...],
    port: int,
    ready_path: str,
    log: Path,
    environment: Mapping[str, str],
    folder: Path = ROOT,
    descriptors: tuple[int, ...] = (),
) -> Iterator[Server]:
    """`environment` is the whole of it, `folder` the working directory. RuntimeError when it doesn't get ready."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            pass_fds=descriptors,
            stdout=output,
            stderr=output,
        )
    try:
        _wait_until_ready(child, f"http://127.0.0.1:{port}{ready_path}", log)
        yield Server(child.pid, port)
    finally:
        _stop(child)


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_TIMEOUT_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310  our own loopback address
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{url} did not get ready:\n{log.read_text(errors='replace')[-2000:]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
