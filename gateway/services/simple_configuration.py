"""What operations say about simple queries: the table of workloads and the scorer's rules, read and written."""

from __future__ import annotations

from dataclasses import fields
from types import MappingProxyType

from django.db import transaction
from django.utils import timezone

from gateway.engine.tier import BUILT_IN_RULES, BUILT_IN_VERSION, Rules, Tier
from gateway.engine.workloads import Workload, Workloads
from gateway.models import SimpleRules
from gateway.models import Workload as WorkloadRow
from gateway.services.configuration import CHANGED, change_record, configuration_changed
from gateway.services.configuration_cheap_model import SimpleRulesEntry, WeightsEntry
from gateway.services.configuration_diff import differences

RULES_SECTION = "simple_rules"


def workloads_in_force() -> Workloads:
    return Workloads(
        Workload(
            name=row.name,
            tier=Tier(row.tier),
            api_key_id=row.api_key_id,
            team_id=row.team_id,
            tag=row.tag or None,
            system_prompt=row.system_prompt or None,
        )
        for row in WorkloadRow.objects.alive()
    )


def simple_rules_in_force() -> Rules:
    row = SimpleRules.objects.order_by("-pk").first()
    return BUILT_IN_RULES if row is None else _rules(row)


def simple_rules_of(version: int) -> Rules | None:
    """The rules that decisions of this version were made by; None if there never was one."""
    if version == BUILT_IN_VERSION:
        return BUILT_IN_RULES
    row = SimpleRules.objects.filter(pk=version).first()
    return None if row is None else _rules(row)


def _rules(row: SimpleRules) -> Rules:
    return Rules(
        version=row.pk,
        threshold=row.threshold,
        long_input_characters=row.long_input_characters,
        least_words=row.least_words,
        weights=MappingProxyType({name: float(weight) for name, weight in row.weights.items()}),
    )


def simple_rules_entry(rules: Rules) -> SimpleRulesEntry:
    """The rules as the configuration file has them."""
    return SimpleRulesEntry(
        threshold=rules.threshold,
        long_input_characters=rules.long_input_characters,
        least_words=rules.least_words,
        weights=WeightsEntry(**{spec.name: rules.weights.get(spec.name, 0.0) for spec in fields(WeightsEntry)}),
    )


def simple_rules_row(entry: SimpleRulesEntry, *, actor: str, note: str = "") -> SimpleRules:
    """A new version, not saved yet."""
    return SimpleRules(
        threshold=entry.threshold,
        long_input_characters=entry.long_input_characters,
        least_words=entry.least_words,
        weights={spec.name: getattr(entry.weights, spec.name) for spec in fields(entry.weights)},
        note=note,
        made_by=actor[:150],
        created_at=timezone.now(),
    )


@transaction.atomic
def simple_rules_change(*, row: SimpleRules, actor: str) -> None:
    """Put a new version in force. Raises ValidationError."""
    before = simple_rules_entry(simple_rules_in_force())
    row.pk, row.made_by, row.created_at = None, actor[:150], timezone.now()
    row.full_clean()
    row.save(force_insert=True)
    told = differences(before, simple_rules_entry(_rules(row)))
    change_record(actor=actor, action=CHANGED, section=RULES_SECTION, name=str(row), before=told[0], after=told[1])
    configuration_changed()
