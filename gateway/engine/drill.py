"""Fire drills: faults that we inject on purpose, and which completions get them. Pure decisions.

A drilled target is an ordinary one whose provider carries an `Injection`. Its breaker, its retries and, where nothing
is sent, its places in flight are kept under a name of their own, so that traffic outside the drill never notices it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_LANE = re.compile(r"^(?P<provider>.+) \(drill (?P<drill>\d+)\)\Z")


class DrillFault(StrEnum):
    """What the provider seems to do."""

    UNAVAILABLE = "503"
    RATE_LIMITED = "429"
    TIMEOUT = "timeout"  # no answer at all
    SLOW_FIRST_TOKEN = "slow_first_token"  # noqa: S105 -- no secret
    CUT_STREAM = "cut_stream"
    MALFORMED = "malformed"

    @property
    def reaches_provider(self) -> bool:
        """Whether the provider is really called, and paid: these faults spoil what it answers."""
        return self in (DrillFault.SLOW_FIRST_TOKEN, DrillFault.CUT_STREAM, DrillFault.MALFORMED)


@dataclass(frozen=True, slots=True)
class Injection:
    """What a provider does to one completion."""

    drill_id: int
    fault: DrillFault


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill as the request path needs it; `ends_at` is wall time (seconds since 1970).

    Without `provider` it is the provider of the first target. `route_id` None means every route, no `key_ids` every
    key.
    """

    id: int
    fault: DrillFault
    share_percent: int
    ends_at: float
    provider: str | None = None
    route_id: int | None = None
    key_ids: frozenset[int] = frozenset()

    def concerns(self, *, route_id: int, key_id: int, now: float) -> bool:
        return now < self.ends_at and self.route_id in (None, route_id) and (not self.key_ids or key_id in self.key_ids)


def lane_name(provider: str, drill_id: int) -> str:
    """The name of a drill's breaker; no provider can have it, for it holds spaces."""
    return f"{provider} (drill {drill_id})"


def lane_parts(name: str) -> tuple[str, int | None]:
    """The provider a breaker's name belongs to, and the drill whose breaker it is, if it is one's."""
    found = _LANE.match(name)
    return (name, None) if found is None else (found["provider"], int(found["drill"]))
