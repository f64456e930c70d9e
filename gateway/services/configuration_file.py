"""From the configuration file's text to plain values, with every problem told at once and by its path. No database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.models.budget import SUBJECT_COLUMNS
from gateway.models.words import BudgetScope
from gateway.services.configuration_entries import ConfigurationFile, RouteEntry
from gateway.services.configuration_readers import Problem, Problems, entry
from gateway.services.configuration_uses import Use
from gateway.services.configuration_yaml import YamlProblem, yaml_read


class ConfigurationFileError(Exception):
    """The file can't be used; `problems` are all that was found. `str()` is one problem a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Known:
    """What the database holds, for the sections that a file leaves out.

    `uses` are what other configuration needs. `listed` says whether a price list, which no
    file changes, knows (kind, model); `overridden` are those with a price of operations' own, as of `now`.
    """

    now: datetime

    teams: frozenset[str] = frozenset()
    api_keys: frozenset[str] = frozenset()
    uses: tuple[Use, ...] = ()
    overridden: frozenset[tuple[str, str]] = frozenset()
    listed: Callable[[str, str], bool] = lambda kind, model: False


def configuration_parse(text: str, known: Known) -> ConfigurationFile:
    """The file as values that fit together. Raises ConfigurationFileError with every problem in it."""
    problems = Problems()
    try:
        data = yaml_read(text)
    except YamlProblem as problem:
        raise ConfigurationFileError([Problem("", str(problem))]) from None
    if data is None:
        raise ConfigurationFileError([Problem("", "the file is empty; it needs at least providers and routes")])
    file = entry(ConfigurationFile)(data, "", problems)
    if file is not None:
        _check_together(file, known, problems)
    if problems:
        raise ConfigurationFileError(problems)
    return file  # type: ignore[no-any-return]


def _check_together(file: ConfigurationFile, known: Known, problems: Problems) -> None:
    """What only shows when sections are compared. Entries with problems of their own may be None or incomplete."""
    for section in ("providers", "teams", "api_keys", "budgets", "workloads", "alert_channels"):
        _unique(section, [getattr(each, "name", None) for each in getattr(file, section) or ()], "name", problems)
    _unique(
        "prices", [each and (each.kind, each.model, each.valid_from) for each in file.prices or ()], "model", problems
    )
    _route_names(file, problems)
    _targets(file, known, problems)
    _still_used(file, known, problems)
    _api_keys(file, known, problems)
    _budgets(file, known, problems)
    _workloads(file, known, problems)


def _unique(section: str, values: list[Any], name: str, problems: Problems) -> None:
    first: dict[Any, int] = {}
    for position, value in enumerate(values):
        if value is None:
            continue
        if value in first:
            problems.tell(f"{section}[{position}].{name}", f"is the same as in {section}[{first[value]}]")
        first.setdefault(value, position)


def _names(entries: Iterable[Any] | None) -> list[str]:
    return [each.name for each in entries or () if each is not None and each.name is not None]


def _route_names(file: ConfigurationFile, problems: Problems) -> None:
    """Route names and aliases share one namespace."""
    taken: dict[str, str] = {}
    for position, route in enumerate(file.routes or ()):
        if route is None:
            continue
        path = f"routes[{position}]"
        for where, name in [
            ("name", route.name),
            *((f"aliases[{n}]", alias) for n, alias in enumerate(route.aliases or ())),
        ]:
            if name in taken:
                problems.tell(f"{path}.{where}", f'"{name}" is already taken by {taken[name]}')
            elif name is not None:
                taken[name] = f"{path}.{where}"


def _targets(file: ConfigurationFile, known: Known, problems: Problems) -> None:
    kinds: dict[Any, Any] = {}  # None is the name of a provider that could not be read
    for each in file.providers or ():
        kinds[each and each.name] = each and each.kind
    priced = _own_prices(file, known)
    for path, target in _every_target(file.routes or ()):
        if target.provider is None:
            continue
        if target.provider not in kinds:
            if None in kinds:
                continue  # it may be the one whose own name could not be read
            _tell_unknown(problems, f"{path}.provider", "provider", target.provider, kinds)
            continue
        price = (kinds[target.provider], target.model)
        if None not in price and price not in priced and not known.listed(*price):
            problems.tell(
                f"{path}.model",
                f'no price is known for the {price[0]} model "{target.model}"; '
                "add one to the prices section (or free: true if it costs nothing)",
            )


def _own_prices(file: ConfigurationFile, known: Known) -> Collection[tuple[str, str]]:
    """The models that have a price of operations' own now, once the file is applied."""
    if file.prices is None:
        return known.overridden
    begun = (
        each for each in file.prices if each is not None and (each.valid_from is None or each.valid_from <= known.now)
    )
    return {(each.kind, each.model) for each in begun}


def _every_target(routes: Iterable[RouteEntry | None]) -> Iterable[tuple[str, Any]]:
    for position, route in enumerate(routes):
        if route is None:
            continue
        named = [(f"targets[{n}]", target) for n, target in enumerate(route.targets or ())]
        for where, target in [*named, ("simple_target", route.simple_target)]:
            if target is not None:
                yield f"routes[{position}].{where}", target


def _tell_unknown(problems: Problems, path: str, what: str, name: str, known: Iterable[str]) -> None:
    listed = ", ".join(each for each in known if each is not None)
    problems.tell(path, f'no {what} named "{name}"; known: {listed}' if listed else f'no {what} named "{name}"')


def _still_used(file: ConfigurationFile, known: Known, problems: Problems) -> None:
    """Nothing may vanish that is used by something in a section which the file leaves as it is."""
    for use in known.uses:
        section = getattr(file, use.section)
        if section is None or getattr(file, use.by_section) is not None or use.name in _names(section):
            continue
        problems.tell(use.section, f'"{use.name}" is missing, but {use.by} needs it')


def _api_keys(file: ConfigurationFile, known: Known, problems: Problems) -> None:
    teams = known.teams if file.teams is None else _names(file.teams)
    routes = _names(file.routes)
    for position, key in enumerate(file.api_keys or ()):
        if key is None:
            continue
        path = f"api_keys[{position}]"
        if key.team is not None and key.team not in teams:
            _tell_unknown(problems, f"{path}.team", "team", key.team, teams)
        for n, route in enumerate(key.routes or ()):
            if route is not None and route not in routes:
                _tell_unknown(problems, f"{path}.routes[{n}]", "route", route, routes)
    _unique("api_keys", [getattr(each, "key", None) for each in file.api_keys or ()], "key", problems)
    _unique("api_keys", [getattr(each, "key_hash", None) for each in file.api_keys or ()], "key_hash", problems)


def _budgets(file: ConfigurationFile, known: Known, problems: Problems) -> None:
    subjects: dict[str, Iterable[str]] = {
        BudgetScope.TEAM.value: known.teams if file.teams is None else _names(file.teams),
        BudgetScope.API_KEY.value: known.api_keys if file.api_keys is None else _names(file.api_keys),
        BudgetScope.ROUTE.value: _names(file.routes),
        BudgetScope.PROVIDER.value: _names(file.providers),
    }
    for position, budget in enumerate(file.budgets or ()):
        if budget is None or budget.subject is None or budget.scope not in SUBJECT_COLUMNS:
            continue
        if budget.subject not in subjects[budget.scope]:
            what = budget.scope.replace("_", " ")
            _tell_unknown(problems, f"budgets[{position}].subject", what, budget.subject, subjects[budget.scope])


def _workloads(file: ConfigurationFile, known: Known, problems: Problems) -> None:
    workloads = file.workloads or ()
    teams = known.teams if file.teams is None else _names(file.teams)
    keys = known.api_keys if file.api_keys is None else _names(file.api_keys)
    for position, workload in enumerate(workloads):
        if workload is None:
            continue
        path = f"workloads[{position}]"
        if workload.team is not None and workload.team not in teams:
            _tell_unknown(problems, f"{path}.team", "team", workload.team, teams)
        if workload.api_key is not None and workload.api_key not in keys:
            _tell_unknown(problems, f"{path}.api_key", "API key", workload.api_key, keys)
    conditions = [each.conditions if each and any(each.conditions) else None for each in workloads]
    _unique("workloads", conditions, "conditions", problems)
