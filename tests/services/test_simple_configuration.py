"""Operations' part in the decision about simple queries: workloads, versions of the scorer's rules, their replay."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Any

import orjson
import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from gateway.engine.configuration import Provider, Route, Target
from gateway.engine.routing import plan_completion
from gateway.engine.tier import BUILT_IN_RULES, Reason, Rules, Tier
from gateway.engine.words import Operation, Wire
from gateway.engine.workloads import Workload, Workloads
from gateway.ledger.prices import Price, PriceBook
from gateway.models import ApiKey, Completion, ConfigurationChange, SimpleRules, Team
from gateway.models import Workload as WorkloadRow
from gateway.services.archive import configuration_archive
from gateway.services.call import Call
from gateway.services.configuration_file import ConfigurationFileError
from gateway.services.export import configuration_export
from gateway.services.simple import simple_plan
from gateway.services.simple_configuration import (
    simple_rules_change,
    simple_rules_entry,
    simple_rules_in_force,
    simple_rules_of,
    simple_rules_row,
)
from gateway.services.simple_replay import decisions_replay
from gateway.services.snapshot import ApiKey as SnapshotKey
from gateway.services.snapshot import Snapshot
from gateway.services.snapshot_load import snapshot_load
from gateway.wires import parse_request
from tests.selectors.rows import NOON, add_completion
from tests.services.conftest import Apply

PROVIDER = Provider("openai", Wire.OPENAI, "http://127.0.0.1:9/v1")
ROUTE = Route(
    "default",
    (Target.of(PROVIDER, "gpt-4-turbo"),),
    simple_target=Target.of(PROVIDER, "gpt-3.5-turbo"),
    simple_mode="50%",
)
EASY = "What is the capital of France?"
HARD = "Explain step by step why this function is slow, compare two designs and prove that `x = y ^ 2` holds."


def snapshot(workloads: Workloads, rules: Rules = BUILT_IN_RULES) -> Snapshot:
    free = Price(id=1, kind=Wire.OPENAI, model="gpt-3.5-turbo", input_per_mtok=0, output_per_mtok=0, free=True)  # type: ignore[arg-type]
    fields: dict[str, Any] = dict.fromkeys(("version", "routes", "providers", "keys", "budgets", "zone", "objectives"))
    return Snapshot(**fields, prices=(), price_book=PriceBook((free,)), workloads=workloads, simple_rules=rules)


def decided(text: str, found: Snapshot, conversation: str = "c", **fields: Any) -> dict[str, Any]:
    body = orjson.dumps({"model": "default", "messages": [{"role": "user", "content": text}], **fields})
    key = SnapshotKey(1, "agents", 7, "research", None, "agent", None, False)
    call = Call(Operation.CHAT, body, {}, key, "req_1")
    plan = simple_plan(
        plan_completion(ROUTE, "default"),
        ROUTE,
        call,
        parse_request(Wire.OPENAI, body),
        conversation=conversation,
        snapshot=found,
        at=NOON,
    )
    return dict(plan.decision["simple"])


def test_a_workload_decides_before_the_scorer_and_is_named() -> None:
    found = decided(HARD, snapshot(Workloads([Workload("short work", Tier.SIMPLE, team_id=7)])))
    assert (found["tier"], found["reason"], found["score"]) == ("simple", "workload", None)
    assert found["facts"]["workload_name"] == "short work"


def test_hard_rules_go_before_the_table_of_workloads() -> None:
    table = Workloads([Workload("short work", Tier.SIMPLE, team_id=7)])
    found = decided(EASY, snapshot(table), response_format={"type": "json_object"})
    assert (found["tier"], found["reason"]) == ("complex", Reason.STRUCTURED_OUTPUT.value)


def test_a_tag_of_the_requests_metadata_finds_its_workload() -> None:
    table = Workloads([Workload("translations", Tier.SIMPLE, tag="task=translate")])
    found = decided(HARD, snapshot(table), metadata={"task": "translate"})
    assert found["facts"]["workload_name"] == "translations"


def test_the_scorer_goes_by_the_rules_in_force() -> None:
    strict = replace(BUILT_IN_RULES, version=3, threshold=-5.0)
    found = decided(EASY, snapshot(Workloads(), strict))
    assert (found["tier"], found["rules"]) == ("complex", 3)


def test_a_decision_takes_less_than_a_millisecond_with_a_large_table_and_a_long_query() -> None:
    table = Workloads(Workload(f"w{n}", Tier.SIMPLE, team_id=n + 100, tag=f"task={n}") for n in range(5_000))
    found, metadata = snapshot(table), {f"name{n}": "value" for n in range(16)}
    times = []
    for _ in range(50):
        began = time.thread_time()
        decided(HARD * 38, found, metadata=metadata)
        times.append(time.thread_time() - began)
    assert min(times) < 0.001


@pytest.mark.django_db
def test_a_thousand_stored_decisions_come_out_again_by_the_rules_they_were_made_by() -> None:
    dice = random.Random(7)
    words = (EASY + " " + HARD + " translate code must solve def ``` = ?").split()
    versions = [BUILT_IN_RULES]
    for threshold in (0.1, 0.9):
        entry = replace(simple_rules_entry(BUILT_IN_RULES), threshold=threshold)
        simple_rules_change(row=simple_rules_row(entry, actor="tester"), actor="tester")
        versions.append(simple_rules_in_force())
    table = Workloads([Workload("translations", Tier.SIMPLE, tag="task=translate")])
    for number in range(1_000):
        text = " ".join(dice.choices(words, k=dice.randint(1, 60)))
        metadata = {"task": dice.choice(("translate", "write"))}
        found = decided(text, snapshot(table, dice.choice(versions)), f"talk-{number}", metadata=metadata)
        add_completion(f"req_{number}", decision={"simple": found})
    replay = decisions_replay(limit=1_000)
    assert (replay.decisions, replay.different) == (1_000, [])


@pytest.mark.django_db
def test_a_decision_that_its_rules_dont_give_is_told() -> None:
    found = decided(EASY, snapshot(Workloads()))
    add_completion("req_1", decision={"simple": {**found, "tier": "complex"}})
    with pytest.raises(CommandError, match="1 came out differently"):
        call_command("simple_replay")


@pytest.mark.django_db
def test_changed_rules_are_a_new_version_and_old_ones_stay() -> None:
    entry = replace(simple_rules_entry(BUILT_IN_RULES), threshold=0.5)
    simple_rules_change(row=simple_rules_row(entry, actor="ann"), actor="ann")
    first = simple_rules_in_force()
    simple_rules_change(row=simple_rules_row(replace(entry, threshold=0.6), actor="ann"), actor="ann")
    assert simple_rules_of(first.version) == first
    assert snapshot_load().simple_rules.threshold == 0.6
    assert simple_rules_of(0) == BUILT_IN_RULES
    told = ConfigurationChange.objects.filter(section="simple_rules").order_by("pk").values_list("before", "after")
    assert list(told) == [("threshold=0.3", "threshold=0.5"), ("threshold=0.5", "threshold=0.6")]


@pytest.mark.django_db
@pytest.mark.parametrize("weights", [{"length": 3}, {"luck": 1}, {"code": "much"}, []])
def test_weights_that_cant_be_are_refused(weights: Any) -> None:
    row = SimpleRules(weights=weights)
    with pytest.raises(ValidationError):
        simple_rules_change(row=row, actor="ann")
    assert not SimpleRules.objects.exists()


def test_the_file_says_which_workloads_and_rules_there_are(apply: Apply, full: str) -> None:
    apply(full)
    held = snapshot_load()
    assert (held.simple_rules.threshold, held.simple_rules.weights["easy_task"]) == (0.25, -1)
    key = ApiKey.objects.get(name="agents")
    found = held.workloads.find(
        api_key_id=key.pk, team_id=key.team_id, tags=("task=translate",), system_prompt="00112233445566ff"
    )
    assert found is not None
    assert (found.name, found.tier) == ("translations", Tier.SIMPLE)
    assert apply(configuration_export()) == ()
    assert SimpleRules.objects.count() == 1


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("workloads: [{name: a, tier: simple}]", "workloads[0].name: give at least one condition"),
        ("workloads: [{name: a, tier: simple, team: nobody}]", 'workloads[0].team: no team named "nobody"'),
        ("workloads: [{name: a, tier: simple, tag: translate}]", "workloads[0].tag: must be written like name=value"),
        ("workloads: [{name: a, tier: simple, system_prompt: abc}]", "workloads[0].system_prompt: must be a finger"),
        (
            "workloads: [{name: a, tier: simple, tag: a=b}, {name: b, tier: complex, tag: a=b}]",
            "workloads[1].conditions: is the same as in workloads[0]",
        ),
        ("simple_rules: {weights: {code: 3}}", "simple_rules.weights.code: must be a number, at least -2"),
        ("simple_rules: {weights: {cod: 1}}", "simple_rules.weights.cod: unknown field; did you mean code?"),
    ],
)
def test_mistakes_in_the_file_are_told_by_their_path(apply: Apply, small: str, section: str, problem: str) -> None:
    with pytest.raises(ConfigurationFileError) as refused:
        apply(f"{small}\n{section}\n")
    assert problem in str(refused.value)


@pytest.mark.django_db
def test_a_team_that_a_workload_needs_cant_be_archived() -> None:
    team = Team.objects.create(name="research")
    WorkloadRow.objects.create(name="short work", tier="simple", team=team)
    with pytest.raises(ValidationError, match='the workload "short work"'):
        configuration_archive(row=team, actor="ann")


@pytest.mark.django_db
def test_two_workloads_in_use_cant_have_the_same_conditions() -> None:
    WorkloadRow.objects.create(name="one", tier="simple", tag="a=b")
    with pytest.raises(ValidationError, match="one has the same conditions"):
        WorkloadRow(name="two", tier="complex", tag="a=b").full_clean()


def test_no_completion_is_touched_by_a_replay(db: None) -> None:
    assert decisions_replay(limit=10).decisions == 0
    assert not Completion.objects.exists()
