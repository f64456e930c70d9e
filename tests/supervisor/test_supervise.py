"""The supervisor keeps its workers running, replaces them and drains them; seen from outside."""

from __future__ import annotations

import http.client
import os
import select
import signal
import socket
import threading
from pathlib import Path

import pytest

from tests.supervisor.conftest import PATIENCE_SECONDS, Program, Start


class SlowRequest:
    """A request in progress: it is answered only once `finish` is called."""

    def __init__(self, program: Program, fifo: Path) -> None:
        os.mkfifo(fifo)
        self._fifo = fifo
        self.connection = program.connection()
        self.connection.request("GET", f"/slow?{fifo}")
        self._pen = os.open(fifo, os.O_WRONLY)  # returns once the worker reads: the request has been accepted

    def finish(self) -> http.client.HTTPResponse:
        os.close(self._pen)
        return self.connection.getresponse()


@pytest.fixture
def slow(running: Program, tmp_path: Path) -> SlowRequest:
    return SlowRequest(running, tmp_path / "fifo")


def test_taken_port_is_one_sentence(start: Start) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        program = start(port=other.getsockname()[1])
        assert program.exit_status() == 1
    assert program.printed == [
        f"Port {program.port} on 127.0.0.1 is taken: stop the program that uses it, or choose another port.\n"
    ]


def test_sigterm_lets_an_accepted_request_finish_and_closes_its_connection(running: Program, slow: SlowRequest) -> None:
    running.send(signal.SIGTERM)
    running.until_draining()
    answer = slow.finish()
    assert (answer.status, answer.getheader("connection")) == (200, "close")
    assert running.exit_status() == 0


def test_sigint_to_the_whole_process_group_drains_too(running: Program, slow: SlowRequest) -> None:
    os.killpg(running.process.pid, signal.SIGINT)
    running.until_draining()
    assert slow.finish().status == 200
    assert running.exit_status() == 0


def test_no_new_connection_is_taken_once_it_drains(running: Program, slow: SlowRequest) -> None:
    running.send(signal.SIGTERM)
    running.until_draining()
    slow.finish()
    running.exit_status()
    with pytest.raises(ConnectionRefusedError):
        running.connection().connect()


def test_connection_that_was_accepted_before_the_drain_is_still_answered(running: Program, slow: SlowRequest) -> None:
    accepted = running.connection()
    accepted.request("GET", "/")
    accepted.getresponse().read()
    running.send(signal.SIGTERM)
    running.until_draining()
    accepted.request("GET", "/")
    assert accepted.getresponse().getheader("connection") == "close"
    slow.finish()


def test_second_ctrl_c_ends_at_once(running: Program, slow: SlowRequest) -> None:
    running.send(signal.SIGINT)
    running.until("Stopping")
    running.send(signal.SIGINT)
    running.until("at once.")
    assert running.exit_status() == 0
    with pytest.raises(ConnectionError):
        slow.finish()


def test_dead_worker_is_replaced_and_waiting_connections_are_served(running: Program) -> None:
    first = running.worker_pid()
    dying = running.connection()
    dying.request("GET", "/die")
    with pytest.raises(ConnectionError):
        dying.getresponse()
    assert running.worker_pid() != first
    running.until("gateway worker 1 ended (exit status 7); starting it again")


def test_worker_that_can_not_start_ends_everything_with_its_last_output(start: Start, tmp_path: Path) -> None:
    (tmp_path / "crash").touch()
    program = start(SUPERVISOR_TEST_CRASH_FILE=str(tmp_path / "crash"))
    assert program.exit_status() == 1
    assert "2 times in a row. Its last output:" in program.printed[-1]
    assert "no luck today" in program.printed[-1]


def test_worker_that_keeps_dying_after_it_was_ready_ends_everything(start: Start, tmp_path: Path) -> None:
    crash = tmp_path / "crash"
    program = start(SUPERVISOR_TEST_CRASH_FILE=str(crash))
    program.until("READY")
    crash.touch()
    os.kill(program.worker_pid(), signal.SIGKILL)
    assert program.exit_status() == 1
    assert "5 times in a row." in program.printed[-1]


def test_sighup_replaces_every_worker_without_failing_a_request(start: Start) -> None:
    program = start(workers=2)
    program.until("READY")
    before = {program.worker_pid() for _ in range(40)}
    answers, enough = [], threading.Event()

    def ask() -> None:
        while not enough.is_set():
            answers.append(program.worker_pid())

    client = threading.Thread(target=ask)
    client.start()
    program.send(signal.SIGHUP)
    program.until("Every gateway worker has been replaced.")
    enough.set()
    client.join()
    after = {program.worker_pid() for _ in range(40)}
    assert before
    assert answers
    assert before.isdisjoint(after)


def test_worker_that_fails_to_start_on_sighup_leaves_the_old_one_serving(start: Start, tmp_path: Path) -> None:
    crash = tmp_path / "crash"
    program = start(SUPERVISOR_TEST_CRASH_FILE=str(crash))
    program.until("READY")
    old = program.worker_pid()
    crash.touch()
    program.send(signal.SIGHUP)
    program.until("did not get ready; the old one goes on.")
    assert program.worker_pid() == old


def test_workers_end_when_the_supervisor_is_killed(running: Program) -> None:
    watch = os.pidfd_open(running.worker_pid())
    running.send(signal.SIGKILL)
    ended, _, _ = select.select([watch], [], [], PATIENCE_SECONDS)
    os.close(watch)
    assert ended == [watch]
