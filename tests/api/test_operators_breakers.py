from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.db import transaction
from django.test import AsyncClient, Client
from pytest_django import DjangoAssertNumQueries

from gateway.engine.breaker import BreakerReading, Outcome, Permit
from gateway.engine.clock import SYSTEM_CLOCK
from gateway.engine.configuration import Provider as EngineProvider
from gateway.engine.words import BreakerState
from gateway.models import ConfigurationChange, Provider
from gateway.services.breakers import breaker_force_open
from gateway.services.configuration import configuration_version
from gateway.services.runtime import Runtime
from gateway.stores.memory import MemoryBreakers
from tests.api.conftest import bearer
from tests.selectors.rows import add_provider, open_breaker

pytestmark = pytest.mark.django_db


@pytest.fixture
def openai(db: None) -> Provider:
    return add_provider("openai")


def order(api: Client, action: str, reason: str = "maintenance", provider: str = "openai") -> Any:
    body = {"action": action, "reason": reason}
    return api.post(f"/api/breakers/{provider}", body, content_type="application/json")


def fail(runtime: Runtime, name: str, times: int) -> None:
    """The provider fails so many times in a row, as the engine reports it."""
    provider = runtime.snapshot.providers[name]

    async def report() -> None:
        for _ in range(times):
            permit = await runtime.breakers.admit(provider, longest_seconds=30)
            assert isinstance(permit, Permit)
            await runtime.breakers.report(provider, permit, Outcome.FAILURE, error="503 overloaded")

    asyncio.run(report())


def test_a_provider_that_never_failed_is_closed(api: Client, openai: Provider) -> None:
    assert api.get("/api/breakers").json() == [
        {
            "provider": "openai",
            "state": "closed",
            "forced": None,
            "forced_reason": "",
            "enabled": True,
            "consecutive_failures": 0,
            "failure_rate": 0.0,
            "opened_at": None,
            "next_probe_at": None,
            "last_error": "",
            "drill": None,
        }
    ]


def test_every_provider_in_use_is_listed_by_name(api: Client) -> None:
    for name in ("openai", "anthropic", "gone"):
        add_provider(name)
    row = Provider.objects.get(name="gone")
    row.archive()
    row.save()

    assert [one["provider"] for one in api.get("/api/breakers").json()] == ["anthropic", "openai"]


def test_a_process_that_does_not_serve_tells_what_the_rows_say(api: Client, openai: Provider) -> None:
    row = open_breaker("openai")

    breaker = api.get("/api/breakers/openai").json()

    assert (breaker["state"], breaker["consecutive_failures"], breaker["failure_rate"]) == ("open", 5, 0.834)
    assert breaker["opened_at"] == row.opened_at.isoformat().replace("+00:00", "Z")
    assert breaker["last_error"] == "503 Service Unavailable: The server is overloaded."


def test_a_process_that_serves_tells_the_breakers_own_state(api: Client, openai: Provider, serving: Runtime) -> None:
    open_breaker("openai", state="closed", consecutive_failures=0)
    fail(serving, "openai", 5)

    breaker = api.get("/api/breakers/openai").json()

    assert (breaker["state"], breaker["consecutive_failures"]) == ("open", 5)
    assert (breaker["failure_rate"], breaker["last_error"]) == (1.0, "503 overloaded")
    assert breaker["next_probe_at"] > breaker["opened_at"]


def test_a_row_left_by_an_earlier_process_does_not_hide_the_live_state(
    api: Client, openai: Provider, serving: Runtime
) -> None:
    open_breaker("openai")

    assert api.get("/api/breakers/openai").json()["state"] == "closed"


@pytest.mark.parametrize(("action", "state"), [("force_open", "open"), ("force_closed", "closed")])
def test_an_order_holds_at_once_and_shows_its_reason(
    api: Client, openai: Provider, serving: Runtime, action: str, state: str
) -> None:
    fail(serving, "openai", 5)

    breaker = order(api, action, "the provider announced maintenance").json()

    assert (breaker["state"], breaker["forced"], breaker["next_probe_at"]) == (state, state, None)
    assert breaker["forced_reason"] == "the provider announced maintenance"
    assert api.get("/api/breakers/openai").json() == breaker


@pytest.mark.django_db(transaction=True)
def test_an_order_is_live_in_this_process_before_the_answer(api: Client, openai: Provider, serving: Runtime) -> None:
    order(api, "force_open")

    assert serving.snapshot.providers["openai"].forced_breaker == "open"
    assert serving.breakers.reading(serving.snapshot.providers["openai"]).state is BreakerState.OPEN


def test_an_order_moves_the_version_and_leaves_its_history(api: Client, openai: Provider) -> None:
    version = configuration_version()

    order(api, "force_open", "maintenance")

    assert configuration_version() > version
    change = ConfigurationChange.objects.get()
    assert (change.actor, change.action, change.section, change.name) == (
        "API key ops",
        "changed",
        "providers",
        "openai",
    )
    assert (change.before, change.after) == ("forced_breaker=null", "forced_breaker=open (maintenance)")


def test_an_order_that_is_rolled_back_leaves_nothing(openai: Provider) -> None:
    with transaction.atomic():
        breaker_force_open(provider=openai, reason="maintenance", actor="somebody")
        transaction.set_rollback(True)

    openai.refresh_from_db()
    assert openai.forced_breaker is None
    assert not ConfigurationChange.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_reset_lifts_the_order_and_closes_the_live_breaker(api: Client, openai: Provider, serving: Runtime) -> None:
    fail(serving, "openai", 5)
    order(api, "force_open")

    breaker = order(api, "reset", "the provider is back").json()

    assert (breaker["state"], breaker["forced"], breaker["forced_reason"]) == ("closed", None, "")
    assert (breaker["consecutive_failures"], breaker["opened_at"], breaker["last_error"]) == (0, None, "")
    assert ConfigurationChange.objects.latest("pk").after == "forced_breaker=null (the provider is back)"


def test_a_reset_where_no_breaker_lives_changes_nothing_and_says_so(api: Client, openai: Provider) -> None:
    order(api, "force_open")

    response = order(api, "reset")

    assert response.status_code == 503
    assert response.json()["error"]["code"] == "not_serving"
    openai.refresh_from_db()
    assert openai.forced_breaker == "open"


@pytest.mark.parametrize("method", ["get", "post"])
def test_an_unknown_provider_is_told_the_known_ones(api: Client, openai: Provider, method: str) -> None:
    response = api.get("/api/breakers/opneai") if method == "get" else order(api, "reset", provider="opneai")

    assert response.status_code == 404
    assert response.json() == {
        "error": {
            "code": "not_found",
            "message": "There is no provider 'opneai'. There are: openai.",
            "param": "provider",
        }
    }


@pytest.mark.parametrize(
    ("body", "param", "part"),
    [
        pytest.param(
            '{"action": "open", "reason": "x"}', "action", "'force_open', 'force_closed' or 'reset'", id="word"
        ),
        pytest.param('{"reason": "x"}', "action", "field required", id="no action"),
        pytest.param('{"action": "reset"}', "reason", "field required", id="no reason"),
        pytest.param('{"action": "reset", "reason": "  "}', "reason", "at least 1 character", id="blank reason"),
        pytest.param('{"action": "reset", "reason": "a\\nb"}', "reason", "printable", id="two lines"),
        pytest.param('{"action": "reset", "reason": "\\ud800"}', "reason", "", id="half a character"),
        pytest.param('{"action": "reset", "reason": "%s"}' % ("x" * 301), "reason", "300", id="long reason"),
        pytest.param('{"action": "reset", "reason": "x", "force": 1}', "force", "not permitted", id="unknown field"),
        pytest.param("{", None, "JSON", id="not JSON"),
        pytest.param("[]", None, "must be a JSON object", id="not an object"),
        pytest.param("", None, "must be a JSON object", id="nothing"),
    ],
)
def test_an_order_that_cannot_be_used_says_what_is_wrong(
    api: Client, openai: Provider, body: str, param: str | None, part: str
) -> None:
    response = api.post("/api/breakers/openai", body, content_type="application/json")

    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error.get("param")) == ("invalid_request", param)
    assert part in error["message"]
    assert not ConfigurationChange.objects.exists()


def test_the_list_takes_three_queries_however_many_providers(
    api: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for index in range(5):
        add_provider(f"p{index}")

    with django_assert_num_queries(3):  # the key, the providers, their rows
        api.get("/api/breakers")


class LoopWitness(MemoryBreakers):
    """Remembers on which event loops it was touched."""

    def __init__(self) -> None:
        super().__init__(SYSTEM_CLOCK, lambda change: None)
        self.loops: set[asyncio.AbstractEventLoop] = set()

    def reading(self, provider: EngineProvider) -> BreakerReading:
        self.loops.add(asyncio.get_running_loop())
        return super().reading(provider)

    async def reset(self, provider: EngineProvider, cause: str) -> None:
        self.loops.add(asyncio.get_running_loop())
        await super().reset(provider, cause)


@pytest.mark.django_db(transaction=True)
async def test_breakers_are_read_and_reset_on_the_event_loop_that_owns_them(
    operator_key: str, openai: Provider, serving: Runtime
) -> None:
    witness = LoopWitness()
    serving.breakers = witness

    response = await AsyncClient().post(
        "/api/breakers/openai",
        {"action": "reset", "reason": "well again"},
        content_type="application/json",
        headers=bearer(operator_key),
    )

    assert response.status_code == 200
    assert witness.loops == {asyncio.get_running_loop()}
