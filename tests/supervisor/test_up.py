"""`manage.py up` on a fresh data directory: everything runs, what it prints works when pasted, a restart keeps it."""

from __future__ import annotations

import json
import os
import queue
import re
import select
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gateway.simulator import SimulatorThread
from tests.servers import free_port
from tests.supervisor.conftest import PATIENCE_SECONDS, ROOT, Program

CONFIGURATION = """
providers:
  - {{name: openai, kind: openai, base_url: "{url}/openai/v1", api_key: test}}
routes:
  - {{name: default, targets: [{{provider: openai, model: gpt-4-turbo}}]}}
teams: [{{name: research}}]
prices:
  - {{kind: openai, model: gpt-4-turbo, input_per_mtok: "10", output_per_mtok: "30"}}
alert_channels:
  - {{name: ops, url: "{channel}", events: [breaker_opened]}}
"""
BREAKER_OPENS = """
from django.utils import timezone
from gateway.models import BreakerTransition
BreakerTransition.objects.create(
    provider="openai", at=timezone.now(), from_state="closed", to_state="open", cause="5 consecutive failures"
)
"""


class Installation:
    """A data directory and a configuration whose only provider is a simulator of its own."""

    def __init__(self, folder: Path, simulator_url: str, channel: str = "json://127.0.0.1:9/") -> None:
        self.folder = folder
        self.config = folder / "test.yaml"
        self.config.write_text(CONFIGURATION.format(url=simulator_url, channel=channel))
        self.programs: list[Program] = []

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "LLMOPS_DATA_DIR": str(self.folder / "data"), "PYTHONUNBUFFERED": "1"}

    def up(self, *arguments: str) -> Program:
        port = free_port()
        options = ("--port", str(port), "--config", str(self.config), *arguments)
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up", *options],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.programs.append(Program(process, port))
        return self.programs[-1]

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=True
        ).stdout


@pytest.fixture(scope="module")
def simulator() -> Iterator[str]:
    with SimulatorThread() as running:
        yield running.url


@dataclass
class Channel:
    """Where alerts arrive."""

    url: str
    titles: queue.Queue[str]


@pytest.fixture(scope="module")
def channel() -> Iterator[Channel]:
    titles: queue.Queue[str] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            titles.put(json.loads(self.rfile.read(int(self.headers["content-length"])))["title"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Channel(f"json://127.0.0.1:{server.server_port}/", titles)
        server.shutdown()
        thread.join()


@contextmanager
def installed(folder: Path, simulator_url: str, channel: Channel | None = None) -> Iterator[Installation]:
    made = Installation(folder, simulator_url, *([channel.url] if channel else []))
    yield made
    for program in made.programs:
        program.process.kill()
        program.process.communicate()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, simulator: str, channel: Channel) -> Iterator[Installation]:
    """One for all tests that only look at it."""
    with installed(tmp_path_factory.mktemp("up"), simulator, channel) as made:
        yield made


@pytest.fixture(scope="module")
def started(installation: Installation) -> Program:
    """The first start, running and ready."""
    program = installation.up()
    program.until("Ctrl-C stops everything.")
    return program


def get(program: Program, path: str) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{program.port}{path}", timeout=20) as answer:
        return int(answer.status)


def printed_key(program: Program) -> str:
    found = re.search(r"API key +(sk-llmops-\S+) +\(shown only this once\)", "".join(program.printed))
    assert found
    return found[1]


def test_everything_is_ready_when_it_says_so(started: Program) -> None:
    assert get(started, "/readyz") == 200


def test_printed_login_opens_the_admin(started: Program, installation: Installation) -> None:
    found = re.search(r"Login +admin / (\S+) +\(shown only this once\)", "".join(started.printed))
    assert found
    check = (
        f"from django.contrib.auth import authenticate; print(authenticate(username='admin', password='{found[1]}'))"
    )
    assert installation.manage("shell", "--no-imports", "-c", check).strip().endswith("admin")


def test_printed_curl_works_when_pasted(started: Program) -> None:
    lines = "".join(started.printed).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("curl "))
    pasted = "\n".join(lines[first : first + 2])
    answer = subprocess.run(["bash", "-c", pasted], capture_output=True, text=True, check=True).stdout
    assert json.loads(answer)["choices"][0]["message"]["content"]


def test_printed_snippet_works_when_pasted(started: Program) -> None:
    lines = "".join(started.printed).splitlines()
    first = lines.index("from openai import OpenAI")
    snippet = "\n".join(lines[first : first + 5])
    answer = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, check=True).stdout
    assert answer.strip()


def test_static_files_of_the_admin_are_served(started: Program) -> None:
    assert get(started, "/static/unfold/css/styles.css") == 200


def test_opening_breaker_is_told_by_the_running_worker(
    started: Program, installation: Installation, channel: Channel
) -> None:
    installation.manage("shell", "--no-imports", "-c", BREAKER_OPENS)
    assert channel.titles.get(timeout=PATIENCE_SECONDS) == "breaker_opened: openai"


def test_installation_whose_supervisor_was_killed_starts_again_with_everything_kept(
    tmp_path: Path, simulator: str
) -> None:
    with installed(tmp_path, simulator) as installation:
        first = installation.up()
        first.until("Ctrl-C stops everything.")
        children = [os.pidfd_open(pid) for pid in children_named(first.process.pid, b"")]
        first.send(signal.SIGKILL)
        assert all(select.select([child], [], [], 20)[0] for child in children), "a child outlived the supervisor"
        second = installation.up()
        second.until("Ctrl-C stops everything.")
        assert "shown only this once" not in "".join(second.printed)
        assert route_names(second, printed_key(first)) == ["default"]
        second.send(signal.SIGTERM)
        assert second.exit_status() == 0


def route_names(program: Program, key: str) -> list[str]:
    url = f"http://127.0.0.1:{program.port}/v1/models"
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return [model["id"] for model in json.load(answer)["data"]]


def children_named(pid: int, word: bytes) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if word in Path(f"/proc/{child}/cmdline").read_bytes()]
