"""Which configuration is needed by other configuration: it can't be archived before that has let go of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.models import ApiKey, Target
from gateway.models.budget import SUBJECT_COLUMNS
from gateway.services.configuration_rows import budget_rows, workload_rows

# The section in which a budget's subject lives.
_SECTION_OF_COLUMN = {"team": "teams", "api_key": "api_keys", "route": "routes", "provider": "providers"}


@dataclass(frozen=True, slots=True)
class Use:
    """`name` of `section` is used by something in `by_section`; `by` says what, in words."""

    section: str
    name: str
    by_section: str
    by: str


def configuration_uses() -> tuple[Use, ...]:
    return (*_routes_use_providers(), *_keys_use_teams(), *_budgets_use_subjects(), *_workloads_use_callers())


def _routes_use_providers() -> Iterator[Use]:
    targets = Target.objects.filter(route__archived_at=None, provider__archived_at=None)
    for provider, route in targets.values_list("provider__name", "route__name").order_by().distinct():
        yield Use("providers", provider, "routes", f'the route "{route}"')


def _keys_use_teams() -> Iterator[Use]:
    for name, team in ApiKey.objects.alive().exclude(team=None).values_list("name", "team__name"):
        yield Use("teams", team, "api_keys", f'the API key "{name}"')


def _budgets_use_subjects() -> Iterator[Use]:
    for budget in budget_rows():
        column = SUBJECT_COLUMNS.get(budget.scope)
        if column and budget.subject:
            yield Use(_SECTION_OF_COLUMN[column], budget.subject.name, "budgets", f'the budget "{budget.name}"')


def _workloads_use_callers() -> Iterator[Use]:
    for workload in workload_rows():
        for section, caller in (("api_keys", workload.api_key), ("teams", workload.team)):
            if caller is not None:
                yield Use(section, caller.name, "workloads", f'the workload "{workload.name}"')
