"""What a newcomer waits: measured from outside, on a checkout whose `make run` is a few lines."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench.first_run import Newcomer, Waited, committed, newcomers_environment, printed_key

MAKEFILE = """
run:
	@mkdir -p .venv && touch .venv/.installed
	@exec python3 serve.py $(PORT)
"""
SERVE = """
import json, os, pathlib, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        good = self.headers["authorization"] == "Bearer sk-llmops-k" and asked["model"] == "gpt-4-turbo"
        self.send_response(200 if good else 401)
        self.end_headers()
        self.wfile.write(b'{"choices": [{"message": {"content": "Blue."}}]}')

    def log_message(self, *words):
        pass

signal.signal(signal.SIGINT, lambda *_: (pathlib.Path("stopped").open("a").write("Ctrl-C "), sys.exit()))
server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
kept = pathlib.Path(os.environ["LLMOPS_DATA_DIR"])
if not kept.exists():
    kept.mkdir()
    print("  API key    sk-llmops-k   (shown only this once)")
print("Ctrl-C stops everything.", flush=True)
server.serve_forever()
"""


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *words], cwd=folder, check=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "Makefile").write_text(MAKEFILE)
    (folder / "serve.py").write_text(SERVE)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "all")
    return folder


def test_both_starts_are_timed_to_their_answer_and_ended_by_a_ctrl_c(checkout: Path, tmp_path: Path) -> None:
    waited = Newcomer(checkout, tmp_path).waits()
    assert 0 < waited.installing_seconds < waited.first_seconds
    assert waited.second_seconds > 0
    assert (tmp_path / "checkout/stopped").read_text() == "Ctrl-C Ctrl-C "


def test_start_that_fails_is_told_with_its_last_output(checkout: Path, tmp_path: Path) -> None:
    (checkout / "serve.py").write_text("raise SystemExit('the reason')")
    git(checkout, "commit", "--quiet", "-a", "-m", "broken")
    with pytest.raises(RuntimeError, match="the reason"):
        Newcomer(checkout, tmp_path).waits()


def test_what_is_not_committed_is_said_to_be_left_out(checkout: Path) -> None:
    assert "uncommitted" not in committed(checkout)
    (checkout / "serve.py").write_text("")
    assert "uncommitted changes are not part of it" in committed(checkout)


@pytest.mark.parametrize("name", ["LLMOPS_ENV", "DATABASE_URL", "MAKEFLAGS", "PORT", "OPENAI_API_KEY"])
def test_newcomer_has_no_settings_of_another_installation(name: str, tmp_path: Path) -> None:
    assert name not in newcomers_environment({name: "x"}, tmp_path)


def test_newcomer_has_the_machines_proxies_and_installs_without_pips_cache(tmp_path: Path) -> None:
    environment = newcomers_environment({"HTTPS_PROXY": "http://proxy"}, tmp_path)
    assert environment == {"HTTPS_PROXY": "http://proxy", "LLMOPS_DATA_DIR": str(tmp_path), "PIP_NO_CACHE_DIR": "1"}


def test_start_without_a_key_is_not_a_first_one() -> None:
    with pytest.raises(RuntimeError, match="no API key"):
        printed_key("llmops is ready.")


@pytest.mark.parametrize(
    ("waited", "in_time"),
    [
        (Waited(180.0, 100.0, 5.0, 9.0), True),
        (Waited(180.1, 100.0, 5.0, 9.0), False),
        (Waited(180.0, 100.0, 5.1, 1.0), False),
    ],
)
def test_each_start_has_its_line(waited: Waited, in_time: bool) -> None:
    assert waited.in_time() is in_time
    assert ("FAIL" not in waited.table()) is in_time


def test_table_says_what_installing_took() -> None:
    assert Waited(100.0, 80.5, 4.0, 6.0).table().splitlines() == [
        "                                      seconds  line",
        "first start to the first completion     100.0   180  pass",
        "  installing                             80.5",
        "  everything else                        19.5",
        "second start to a completion              4.0     5  pass",
        "  CPU time of all processes               6.0",
    ]
