"""What a route that stores content keeps of real requests: all of it, and nothing readable in the table."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.gateway_process import AGENT_KEY, GatewayProcess

WRITTEN_WITHIN_SECONDS = 10.0


def asked(gateway: GatewayProcess, path: str, **fields: Any) -> tuple[str, bytes, bytes]:
    """The request's id, and the bytes sent and received."""
    document = {"messages": [{"role": "user", "content": "[[say: Forty-two.]]"}], "max_tokens": 50, **fields}
    body = json.dumps(document).encode()
    headers = {"authorization": f"Bearer {AGENT_KEY}", "content-type": "application/json"}
    reply = httpx2.post(gateway.url + path, content=body, headers=headers, timeout=20)
    assert reply.status_code == 200
    return reply.headers["x-request-id"], body, reply.content


def row_of(data_dir: Path, request_id: str) -> tuple[int, int, bytes] | None:
    """The sizes told and everything that is stored."""
    with closing(sqlite3.connect(data_dir / "llmops.sqlite3")) as database:
        found = database.execute(
            "SELECT request_bytes, answer_bytes, request, answer FROM llmops_stored_content WHERE completion_id = ?",
            [request_id],
        ).fetchone()
    return None if found is None else (found[0], found[1], bytes(found[2]) + bytes(found[3]))


def written(data_dir: Path, request_id: str) -> tuple[int, int, bytes]:
    """It is written in the background: that is a fact to wait for, and the wait ends with it."""
    give_up_at = time.monotonic() + WRITTEN_WITHIN_SECONDS
    while (row := row_of(data_dir, request_id)) is None:
        assert time.monotonic() < give_up_at, "nothing was stored"
        time.sleep(0.02)
    return row


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_all_of_it_is_kept_and_none_of_it_readable(gateway: GatewayProcess, path: str, stream: bool) -> None:
    request_id, sent, received = asked(gateway, path, model="kept", stream=stream)

    request_bytes, answer_bytes, stored = written(gateway.data_dir, request_id)

    # Keep-alive comments belong to the connection, not to the answer: here there are none.
    assert (request_bytes, answer_bytes) == (len(sent), len(received))
    assert b"Forty-two" in sent
    assert b"Forty-two" not in stored
    assert "Forty-two" not in gateway.log()


def test_a_route_that_does_not_say_so_keeps_nothing(gateway: GatewayProcess) -> None:
    other, *_ = asked(gateway, "/v1/chat/completions", model="default")
    kept, *_ = asked(gateway, "/v1/chat/completions", model="kept")

    written(gateway.data_dir, kept)
    assert row_of(gateway.data_dir, other) is None


def test_the_operators_api_explains_a_request_without_its_content(gateway: GatewayProcess) -> None:
    request_id, *_ = asked(gateway, "/v1/chat/completions", model="kept")

    assert "Forty-two" not in json.dumps(gateway.get(f"/api/completions/{request_id}"))
