"""Operations' table of workloads: known kinds of requests, each with the tier that its requests are of.

A row holds for a request that meets all of its conditions. Of several rows the one with most conditions holds; among
those a complex one before a simple one, since quality isn't traded by accident, and then the first by name. A look-up
costs the same whatever the table's size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from gateway.engine.tier import Tier

# API key id, team id, tag, system prompt's fingerprint; None where the row doesn't care.
Conditions = tuple[int | None, int | None, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Workload:
    """`tag` is "name=value" of the request's metadata, `system_prompt` a fingerprint (`wires/tier_facts.py`)."""

    name: str
    tier: Tier
    api_key_id: int | None = None
    team_id: int | None = None
    tag: str | None = None
    system_prompt: str | None = None

    @property
    def conditions(self) -> Conditions:
        return self.api_key_id, self.team_id, self.tag, self.system_prompt

    @property
    def rank(self) -> tuple[int, bool, str]:
        """The row with the smallest one holds."""
        given = sum(condition is not None for condition in self.conditions)
        return -given, self.tier is Tier.SIMPLE, self.name


class Workloads:
    """The table, indexed by its rows' conditions. Immutable."""

    __slots__ = ("_by_conditions", "_shapes")

    def __init__(self, rows: Iterable[Workload] = ()) -> None:
        self._by_conditions: Mapping[Conditions, Workload] = {
            row.conditions: row for row in sorted(rows, key=lambda row: row.rank, reverse=True)
        }
        self._shapes = {tuple(each is not None for each in conditions) for conditions in self._by_conditions}

    def __bool__(self) -> bool:
        return bool(self._by_conditions)

    def find(
        self, *, api_key_id: int, team_id: int | None, tags: tuple[str, ...], system_prompt: str
    ) -> Workload | None:
        """The row that holds; `tags` are bounded by who read them, `system_prompt` is "" where there is none."""
        request = ((api_key_id,), (team_id,), tags, (system_prompt or None,))
        met = (self._by_conditions.get(one) for one in self._met(request))
        return min((row for row in met if row is not None), key=lambda row: row.rank, default=None)

    def _met(self, request: tuple[tuple[int | str | None, ...], ...]) -> Iterator[Conditions]:
        """All conditions of the table's shapes that the request meets."""
        for shape in self._shapes:
            values = (found if asked else (None,) for asked, found in zip(shape, request, strict=True))
            yield from product(*values)


NO_WORKLOADS = Workloads()
