"""What a request would do, as the operators' API tells it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from gateway.models import Budget
from gateway.services.apply import configuration_apply
from gateway.services.runtime import Runtime
from tests.services.conftest import SMALL

pytestmark = pytest.mark.django_db
PATH = "/api/routes/default/dry-run"


@pytest.fixture
def configured(api: Client) -> Client:
    configuration_apply(SMALL + "teams: [{name: research}]", actor="tester")
    return api


def dry_run(client: Client, **order: Any) -> Any:
    return client.post(PATH, order, content_type="application/json")


def test_an_empty_order_is_the_usual_request(configured: Client) -> None:
    told = dry_run(configured).json()

    assert told["would_be_sent"] is True
    assert [(one["order"], one["target"], one["standing"]) for one in told["candidates"]] == [
        (1, "openai/gpt-4-turbo", "first"),
        (2, "anthropic/claude-3-5-sonnet-20241022", "next"),
    ]


def test_budgets_are_told_in_decimal_strings(configured: Client) -> None:
    Budget.objects.create(name="month", scope="global", limit_usd="100")

    told = dry_run(configured).json()

    (budget,) = told["budgets"]
    assert budget["claimed_usd"] == told["worst_case_usd"]
    assert (budget["limit_usd"], budget["spent_usd"], budget["room_usd"]) == ("100.00", "0.00", "100.00")
    assert budget["verdict"] == "fits"


def test_a_refusal_is_told_as_the_agent_would_get_it(configured: Client) -> None:
    Budget.objects.create(name="month", scope="global", limit_usd="0.000001")

    told = dry_run(configured).json()

    assert told["would_be_sent"] is False
    assert (told["error"]["status"], told["error"]["code"]) == (429, "budget_exceeded")


def test_a_process_that_serves_tells_its_own_breakers(configured: Client, serving: Runtime) -> None:
    serving.holder.refresh()

    assert {one["breaker"] for one in dry_run(configured).json()["candidates"]} == {"closed"}


@pytest.mark.parametrize(
    ("order", "param"),
    [
        ({"model": "another"}, "model"),
        ({"api_key": "nobody"}, "api_key"),
        ({"operation": "count_tokens"}, "operation"),
        ({"input_tokens": 0}, "input_tokens"),
        ({"stresm": True}, "stresm"),
    ],
)
def test_a_wrong_field_is_named(configured: Client, order: dict[str, Any], param: str) -> None:
    response = dry_run(configured, **order)

    assert response.status_code == 400
    assert response.json()["error"]["param"].endswith(param)


def test_an_unknown_route_names_those_there_are(configured: Client) -> None:
    response = configured.post("/api/routes/none/dry-run", {}, content_type="application/json")

    assert response.status_code == 404
    assert response.json()["error"]["message"] == "There is no route 'none'. There are: default."
