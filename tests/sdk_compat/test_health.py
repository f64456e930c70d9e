"""What load balancers ask, with either of the methods they use."""

from __future__ import annotations

import httpx2
import pytest

from tests.gateway_process import GatewayProcess


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_head_is_answered_as_get_is_without_its_body(gateway: GatewayProcess, path: str) -> None:
    with httpx2.Client(base_url=gateway.url) as client:
        head, get = client.head(path), client.get(path)
    assert (head.status_code, get.status_code) == (200, 200)
    assert head.content == b""
    assert head.headers["content-length"] == str(len(get.content))


def test_the_description_of_the_api_names_each_question_once(gateway: GatewayProcess) -> None:
    paths = httpx2.get(f"{gateway.url}/v1/openapi.json").json()["paths"]
    assert [set(paths[path]) for path in ("/healthz", "/readyz")] == [{"get"}, {"get"}]
