"""A dry run tells what a request would do, as the request path would do it, and does nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.engine.errors import InvalidRequest
from gateway.engine.tier import Tier
from gateway.engine.words import Operation
from gateway.ledger.budgets import Window, window_of
from gateway.models import ApiKey, Budget, BudgetReservation, BudgetWindow, Completion, Price, Provider, Route
from gateway.selectors.configuration import organisation_zone
from gateway.services.dry_run import DryRun, route_dry_run
from gateway.services.dry_run_candidates import Standing
from gateway.services.dry_run_request import Question
from tests.selectors.rows import open_breaker
from tests.services.conftest import SMALL, Apply

pytestmark = pytest.mark.django_db
OPENAI, CLAUDE = "openai/gpt-4-turbo", "anthropic/claude-3-5-sonnet-20241022"
CHEAP = "    simple_target: {provider: openai, model: gpt-3.5-turbo}\n    simple_mode: 'on'\n"


@pytest.fixture
def configured(apply: Apply) -> None:
    apply(SMALL)


def asked(route: str = "default", **values: Any) -> DryRun:
    return route_dry_run(route=Route.objects.get(name=route), question=Question(**{"model": route} | values))


def standings(run: DryRun) -> dict[str, Standing]:
    return {one.target: one.standing for one in run.candidates}


def reasons(run: DryRun, target: str) -> str:
    return "; ".join(next(one for one in run.candidates if one.target == target).reasons)


def spend(budget: Budget, amount: str, subject: str = "") -> None:
    start, _ = window_of(Window(budget.window), datetime.now(UTC), organisation_zone())
    epoch = int(start.timestamp()) if start else 0
    BudgetWindow.objects.create(budget_id=budget.pk, subject=subject, window_epoch=epoch, spent_usd=amount)


def test_the_first_target_would_be_asked_and_the_next_if_it_fails(configured: None) -> None:
    run = asked()

    assert standings(run) == {OPENAI: Standing.FIRST, CLAUDE: Standing.NEXT}
    assert run.words == f"{OPENAI} would be asked. If that fails: {CLAUDE}."
    assert run.error is None


def test_nothing_is_written(configured: None) -> None:
    Budget.objects.create(name="all", scope="global", limit_usd="5")

    asked()

    assert not Completion.objects.exists()
    assert not BudgetReservation.objects.exists()
    assert not BudgetWindow.objects.exists()


def test_an_open_breaker_skips_its_targets_and_says_when_the_next_probe_is(configured: None) -> None:
    open_breaker("openai", probe_in_seconds=600)

    run = asked()

    assert standings(run) == {OPENAI: Standing.SKIPPED, CLAUDE: Standing.FIRST}
    assert "its breaker is open, next probe in " in reasons(run, OPENAI)


def test_the_request_after_the_cool_down_would_be_the_probe(configured: None) -> None:
    open_breaker("openai", probe_in_seconds=-1)

    assert "this request would be the probe" in reasons(asked(), OPENAI)


def test_a_breaker_held_open_says_why(configured: None) -> None:
    Provider.objects.filter(name="openai").update(forced_breaker="open", forced_breaker_reason="their outage")

    assert reasons(asked(), OPENAI).endswith("operations hold its breaker open: their outage")


def test_with_every_breaker_open_the_agent_gets_a_503(configured: None) -> None:
    open_breaker("openai", probe_in_seconds=600)
    open_breaker("anthropic", probe_in_seconds=600)

    run = asked()

    assert run.error is not None
    assert (run.error.status, run.error.code) == (503, "breaker_open")


def test_a_target_without_a_price_is_left_out(configured: None) -> None:
    Price.objects.filter(model="gpt-4-turbo").delete()

    run = asked()

    assert standings(run) == {CLAUDE: Standing.FIRST, OPENAI: Standing.LEFT_OUT}
    assert "no price is known" in reasons(run, OPENAI)


def test_a_provider_that_is_switched_off_is_left_out(configured: None) -> None:
    Provider.objects.filter(name="openai").update(enabled=False)

    run = asked()

    assert standings(run) == {CLAUDE: Standing.FIRST, OPENAI: Standing.LEFT_OUT}
    assert reasons(run, OPENAI) == "its provider is switched off"


def test_a_request_too_long_for_a_window_goes_to_the_larger_one(configured: None) -> None:
    run = asked(input_tokens=150_000)

    assert standings(run) == {OPENAI: Standing.TOO_SMALL, CLAUDE: Standing.FIRST}
    assert "about 150,000 tokens don't fit its window of 128,000" in reasons(run, OPENAI)


def test_an_operation_that_only_one_wire_has_leaves_the_other_out(configured: None) -> None:
    run = asked(operation=Operation.RESPONSES)

    assert standings(run) == {OPENAI: Standing.FIRST, CLAUDE: Standing.LEFT_OUT}
    assert reasons(run, CLAUDE) == "a provider of kind anthropic has no responses"


def test_a_full_budget_refuses_with_its_sentence(configured: None) -> None:
    spend(Budget.objects.create(name="all", scope="global", limit_usd="5"), "5")

    run = asked()

    assert run.error is not None
    assert (run.error.status, run.error.code) == (429, "budget_exceeded")
    assert "Budget 'all' has no room" in run.words
    assert [check.verdict for check in run.checks] == ["no_room"]
    assert set(standings(run).values()) == {Standing.NOT_ASKED}


def test_a_full_budget_of_a_provider_leaves_only_its_targets_out(configured: None) -> None:
    openai = Provider.objects.get(name="openai")
    budget = Budget.objects.create(name="openai month", scope="provider", provider=openai, limit_usd="5")
    spend(budget, "5", str(openai.pk))

    run = asked()

    assert standings(run) == {CLAUDE: Standing.FIRST, OPENAI: Standing.LEFT_OUT}
    assert reasons(run, OPENAI) == "its provider's budget has no room"


def test_budgets_with_room_are_told_with_what_they_have_left(configured: None) -> None:
    spend(Budget.objects.create(name="all", scope="global", limit_usd="5"), "1.25")

    (check,) = asked().checks

    assert (check.claim.budget_name, check.spent, check.verdict) == ("all", 1_250_000_000_000, "fits")


def test_a_keys_own_budget_counts_where_the_key_is_named(configured: None) -> None:
    key = ApiKey.objects.create(name="agents", hash="a" * 64)
    spend(Budget.objects.create(name="key", scope="api_key", api_key=key, limit_usd="5"), "5", str(key.pk))

    assert asked().error is None
    assert getattr(asked(key="agents").error, "code", "") == "budget_exceeded"


def test_a_disabled_key_would_be_refused(configured: None) -> None:
    ApiKey.objects.create(name="agents", hash="a" * 64, disabled=True)

    assert getattr(asked(key="agents").error, "code", "") == "invalid_api_key"


def test_the_worst_case_is_what_the_dearest_planned_target_can_cost(configured: None) -> None:
    run = asked(max_output_tokens=1000)

    costs = [one.worst_case_usd for one in run.candidates]
    assert run.worst_case_usd == max(cost for cost in costs if cost is not None)
    assert None not in costs


def test_a_simple_query_goes_to_the_cheap_model_and_the_rule_is_told(apply: Apply) -> None:
    apply(SMALL + CHEAP)

    run = asked(tier=Tier.SIMPLE)

    assert next(iter(standings(run))) == "openai/gpt-3.5-turbo"
    assert run.simple[0] == "This query was judged simple: the client said so in X-LLMOps-Tier."


def test_tools_keep_a_query_with_the_strong_model(apply: Apply) -> None:
    apply(SMALL + CHEAP)

    run = asked(tools=True)

    assert run.simple[0] == "This query was judged complex: it comes with tools."
    assert standings(run)["openai/gpt-3.5-turbo"] is Standing.LEFT_OUT


@pytest.mark.parametrize("operation", [Operation.CHAT, Operation.MESSAGES, Operation.RESPONSES, Operation.EMBEDDINGS])
@pytest.mark.parametrize("more", [{}, {"stream": True, "tools": True, "max_output_tokens": 50}], ids=["bare", "all"])
def test_every_operation_can_be_asked(configured: None, operation: Operation, more: dict[str, Any]) -> None:
    assert asked("default", operation=operation, **more).error is None


@pytest.mark.parametrize(
    ("values", "param"), [({"model": "another"}, "model"), ({"key": "nobody"}, "api_key")], ids=["model", "key"]
)
def test_a_question_that_cannot_be_asked_names_its_field(configured: None, values: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        asked(**values)

    assert raised.value.param == param


def test_a_request_by_an_alias_is_planned_too(configured: None) -> None:
    assert asked(model="gpt-4-turbo").error is None


def test_a_route_that_only_watches_says_that_nothing_is_changed(apply: Apply) -> None:
    apply(SMALL + CHEAP.replace("'on'", "shadow"))

    run = asked(tier=Tier.SIMPLE)

    assert run.simple[1] == "The route only watches (shadow), so this changes nothing."
    assert next(iter(standings(run))) == OPENAI
