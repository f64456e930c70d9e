"""schemathesis against our own OpenAPI documents: nothing that they allow is answered with a server error."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from tests.gateway_process import AGENT_KEY, OPERATOR_KEY, GatewayProcess

BOUNDED = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
# What the gateway says itself when it can't serve: a breaker held open, a process that isn't ready.
SAID_ON_PURPOSE = {503}


@pytest.mark.parametrize(("document", "key"), [("/v1/openapi.json", AGENT_KEY), ("/api/openapi.json", OPERATOR_KEY)])
def test_nothing_that_an_openapi_document_allows_is_a_server_error(
    gateway: GatewayProcess, document: str, key: str
) -> None:
    schema = schemathesis.openapi.from_url(gateway.url + document, headers={"authorization": f"Bearer {key}"})
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 5
    for operation in operations:
        attack(operation, key)


def attack(operation: Any, key: str) -> None:
    @BOUNDED
    @given(case=operation.as_strategy())
    def send(case: Any) -> None:
        reply = case.call(headers={"authorization": f"Bearer {key}"})
        assert reply.status_code < 500 or reply.status_code in SAID_ON_PURPOSE, (operation.label, reply.text)

    send()
