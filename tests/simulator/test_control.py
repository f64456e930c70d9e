"""The control endpoint, the thread, and starting and stopping."""

import asyncio
from typing import Any

import httpx2
import pytest

from gateway.simulator import Fault, FaultKind, Simulator, SimulatorThread


def test_health_answers(simulator: Simulator, http: httpx2.Client) -> None:
    assert http.get("/control/health").json() == {"status": "ok"}


def test_a_fault_is_added_listed_and_removed(openai_raw: Any, http: httpx2.Client) -> None:
    added = http.post("/control/faults", json={"kind": "status", "status": 500, "provider": "openai"}).json()["id"]
    assert openai_raw.post().status_code == 500
    listed = http.get("/control/faults").json()["faults"]
    assert [(fault["id"], fault["kind"], fault["hits"]) for fault in listed] == [(added, "status", 1)]
    assert http.delete(f"/control/faults/{added}").status_code == 200
    assert openai_raw.post().status_code == 200


def test_all_faults_are_removed_at_once(openai_raw: Any, http: httpx2.Client) -> None:
    for kind in ("status", "reset"):
        http.post("/control/faults", json={"kind": kind})
    http.delete("/control/faults")
    assert openai_raw.post().status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "faults", b'{"kind": "explode"}', 400, "kind must be one of"),
        ("POST", "faults", b"[]", 400, "a fault is a JSON object"),
        ("POST", "faults", b"{", 400, ""),
        ("DELETE", "faults/99999", b"", 404, "no fault 99999 is in force"),
        ("DELETE", "faults/x", b"", 404, "no fault x is in force"),
        ("GET", "log?since=x", b"", 400, "since must be a request's number"),
        ("GET", "nothing", b"", 404, "there are GET /control/health"),
        ("PUT", "reset", b"", 404, "no PUT /control/reset here"),
    ],
)
def test_a_wrong_control_call_says_what_would_be_right(
    simulator: Simulator, http: httpx2.Client, method: str, path: str, body: bytes, status: int, message: str
) -> None:
    reply = http.request(method, f"/control/{path}", content=body)
    assert (reply.status_code, message in reply.json()["error"]) == (status, True)


def test_the_log_is_read_and_emptied(openai_raw: Any, anthropic_raw: Any, http: httpx2.Client) -> None:
    openai_raw.post()
    anthropic_raw.post()
    answer = http.get("/control/log", params={"provider": "anthropic"}).json()
    assert [row["model"] for row in answer["rows"]] == ["claude-3-5-sonnet-20241022"]
    assert (answer["in_flight"], "body" in answer["rows"][0]) == (0, False)
    http.delete("/control/log")
    assert http.get("/control/log").json()["rows"] == []


def test_the_bill_is_read(openai_raw: Any, http: httpx2.Client) -> None:
    usage = openai_raw.post().json()["usage"]
    (line,) = http.get("/control/bill").json()["lines"]
    assert (line["requests"], line["input_tokens"]) == (1, usage["prompt_tokens"])
    assert line["output_tokens"] == usage["completion_tokens"]


def test_reset_empties_everything(openai_raw: Any, http: httpx2.Client) -> None:
    openai_raw.post()
    http.post("/control/faults", json={"kind": "status"})
    http.post("/control/reset")
    assert http.get("/control/bill").json()["lines"] == []
    assert http.get("/control/faults").json()["faults"] == []


async def test_it_runs_in_the_callers_loop() -> None:
    simulator = Simulator()
    await simulator.start()
    async with httpx2.AsyncClient(base_url=simulator.url, trust_env=False) as client:
        assert (await client.get("/control/health")).status_code == 200
    await simulator.stop()


async def test_stopping_ends_what_is_under_way() -> None:
    simulator = Simulator()
    await simulator.start()
    simulator.faults.add(Fault(kind=FaultKind.HANG))
    async with httpx2.AsyncClient(base_url=simulator.url, trust_env=False) as client:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
        asked = asyncio.ensure_future(
            client.post("/v1/chat/completions", json=body, headers={"authorization": "Bearer k"})
        )
        await asyncio.to_thread(simulator.log.wait_until, bool)
        await simulator.stop()
        with pytest.raises(httpx2.RemoteProtocolError):
            await asked
    assert simulator.log.rows()[0].outcome == "disconnected"


def test_two_threads_serve_apart() -> None:
    with SimulatorThread() as one, SimulatorThread() as other:
        one.faults.add(Fault(kind=FaultKind.HANG))
        assert one.url != other.url
        assert httpx2.get(other.url + "/control/faults", trust_env=False).json() == {"faults": []}


def test_a_taken_port_is_an_error(simulator: Simulator) -> None:
    port = int(simulator.url.rsplit(":", 1)[1])
    with pytest.raises(OSError, match=r"in use"), SimulatorThread(port=port):
        pass
