"""docs/configuration.md describes exactly the fields that the parser knows, with their defaults."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.services import configuration_cheap_model as cheap_model
from gateway.services import configuration_entries as entries
from gateway.services.configuration_diff import plain_text
from gateway.services.configuration_yaml import yaml_read
from tests.services.conftest import Apply

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
TABLES = {
    "The file": entries.ConfigurationFile,
    "providers": entries.ProviderEntry,
    "retry_budget": entries.RetryBudgetEntry,
    "breaker": entries.BreakerEntry,
    "health_probe": entries.HealthProbeEntry,
    "routes": entries.RouteEntry,
    "targets": entries.TargetEntry,
    "cache": entries.CacheEntry,
    "teams": entries.TeamEntry,
    "api_keys": entries.ApiKeyEntry,
    "prices": entries.PriceEntry,
    "long_context": entries.LongContextEntry,
    "budgets": entries.BudgetEntry,
    "workloads": entries.WorkloadEntry,
    "alert_channels": entries.AlertChannelEntry,
    "objectives": entries.ObjectivesEntry,
    "alerts": entries.AlertsEntry,
    "retention": entries.RetentionEntry,
    "simple_rules": cheap_model.SimpleRulesEntry,
    "weights": cheap_model.WeightsEntry,
}
IN_WORDS = {"required", "untouched", "see there", "all", "empty", "`{}`"}


def rows(heading: str) -> dict[str, str]:
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE))


@pytest.mark.parametrize(("heading", "entry"), TABLES.items())
def test_every_field_is_described_with_its_default(heading: str, entry: Any) -> None:
    told = rows(heading)
    fields = {field.name: field for field in dataclasses.fields(entry)}
    assert list(told) == list(fields)
    for name, default in told.items():
        assert (default == "required") is (fields[name].default is dataclasses.MISSING)
        assert default in IN_WORDS or default == f"`{plain_text(fields[name].default)}`"


def test_every_section_of_the_page_is_checked() -> None:
    assert set(re.findall(r"^## (.*)$", PAGE, re.MULTILINE)) == {*TABLES, "An example"}


def test_the_example_applies_and_shows_every_section(apply: Apply) -> None:
    example = PAGE.split("```yaml\n", 1)[1].split("```", 1)[0]
    assert set(yaml_read(example)) == {field.name for field in dataclasses.fields(entries.ConfigurationFile)}
    assert apply(example)
    assert apply(example) == ()
