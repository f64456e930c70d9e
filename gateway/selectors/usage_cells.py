"""The words of usage reports: by what they may be divided and filtered, and what they add up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any

from django.db.models import Q

ZERO_USD = Decimal(0)

# (index of the step in time, one value per dimension asked for)
UsageKey = tuple[Any, ...]

_TARGET = ("provider", "model")
_OWNER = ("route_id", "route_name", "team_id", "team_name", "api_key_id", "api_key_name")
DIMENSIONS = (*_TARGET, *_OWNER)


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Names as they were when the completion began; None: whatever it is. "" for a team: keys without one.

    By provider or model, amounts are those of the attempts made there, and counts those of the completions answered
    (or last tried) there.
    """

    team: str | None = None
    api_key: str | None = None
    route: str | None = None
    provider: str | None = None
    model: str | None = None

    @property
    def of_target(self) -> bool:
        return self.provider is not None or self.model is not None

    def of_completions(self) -> Q:
        """For completions, and for the roll-ups' cells."""
        return Q(**self._owner(""), **self._target())

    def of_attempts(self) -> Q:
        return Q(**self._owner("completion__"), **self._target())

    def _owner(self, prefix: str) -> dict[str, str]:
        names = {"team_name": self.team, "api_key_name": self.api_key, "route_name": self.route}
        return {prefix + column: name for column, name in names.items() if name is not None}

    def _target(self) -> dict[str, str]:
        return {
            name: value for name, value in (("provider", self.provider), ("model", self.model)) if value is not None
        }


EVERYTHING = UsageFilter()


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums over settled completions.

    `failed` are failures of ours or of providers, and orphans of a crash; `refused` are the client's own errors and the
    limits it ran into. `responses` were timed: whole plain answers, first contents of streams; `first_contents` are
    the streams among them. `estimated_usd` and `unknown_usd` (orphans) are the parts of `cost_usd` that no provider
    reported. `input_tokens` include cached and cache-write tokens, `output_tokens` reasoning. `drilled_…` are the parts
    of their namesakes that a fire drill touched. `saved_usd` is what the answers given in `cache_hits` had cost.
    """

    completions: int = 0
    answered: int = 0
    failed: int = 0
    refused: int = 0
    cancelled: int = 0
    fell_back: int = 0
    fell_back_answered: int = 0
    response_ms_sum: int = 0
    responses: int = 0
    first_content_ms_sum: int = 0
    first_contents: int = 0
    attempts: int = 0
    cost_usd: Decimal = ZERO_USD
    estimated_usd: Decimal = ZERO_USD
    unknown_usd: Decimal = ZERO_USD
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    drilled_answered: int = 0
    drilled_failed: int = 0
    drilled_fell_back: int = 0
    drilled_fell_back_answered: int = 0
    drilled_response_ms_sum: int = 0
    drilled_responses: int = 0
    cache_hits: int = 0
    saved_usd: Decimal = ZERO_USD

    def without_drills(self) -> Usage:
        """What the objectives count; amounts and tokens stay whole, for drills are paid for."""
        return replace(self, **{name: getattr(self, name) - getattr(self, f"drilled_{name}") for name in _DRILLED})

    @property
    def uncertain_usd(self) -> Decimal:
        return self.estimated_usd + self.unknown_usd

    @property
    def error_share(self) -> float | None:
        """Failed ÷ (answered + failed), or None when there was neither."""
        return share(self.failed, self.answered + self.failed)

    @property
    def fallback_success(self) -> float | None:
        return share(self.fell_back_answered, self.fell_back)

    @property
    def mean_response_ms(self) -> float | None:
        return share(self.response_ms_sum, self.responses)

    @property
    def mean_first_content_ms(self) -> float | None:
        return share(self.first_content_ms_sum, self.first_contents)


_DRILLED = ("answered", "failed", "fell_back", "fell_back_answered", "response_ms_sum", "responses")
MEASURES = tuple(field.name for field in fields(Usage))


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


class Sums:
    """Adds up measures by key."""

    def __init__(self, by: Sequence[str]) -> None:
        self._nobody = tuple("" if name in _TARGET else None for name in by)
        self._sums: defaultdict[UsageKey, dict[str, Any]] = defaultdict(dict)

    def add(self, key: UsageKey, values: Mapping[str, Any]) -> None:
        sums = self._sums[key]
        for name, value in values.items():
            sums[name] = sums[name] + value if name in sums else value

    def without_target(self, key: UsageKey) -> UsageKey:
        """The key of what no provider was asked for."""
        step, *values = key
        return (step, *(value if empty is None else empty for value, empty in zip(values, self._nobody, strict=True)))

    def add_all(self, rows: Iterable[tuple[Any, ...]], width: int) -> None:
        """Rows of a key of `width` values and one value per measure."""
        for row in rows:
            self.add(row[:width], dict(zip(MEASURES, row[width:], strict=True)))

    def usage(self) -> dict[UsageKey, Usage]:
        """What isn't nothing."""
        return {key: Usage(**sums) for key, sums in self._sums.items() if any(sums.values())}
