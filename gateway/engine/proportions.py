"""How far two shares differ, and whether chance alone would do that: pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Below so many in a group an interval says nothing that people should act on.
FEWEST = 30
_Z_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Share:
    """`part` of `whole`."""

    part: int
    whole: int

    @property
    def value(self) -> float | None:
        return self.part / self.whole if self.whole else None


@dataclass(frozen=True, slots=True)
class Difference:
    """The first share less the second; with 95 % confidence it lies between `low` and `high`."""

    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 where the first is larger, -1 where it is smaller, 0 where chance may have made it."""
        return (self.low > 0) - (self.high < 0)


def difference(first: Share, second: Share) -> Difference | None:
    """None where a group is too small to say anything.

    Newcombe, "Interval estimation for the difference between independent proportions" (1998), method 10.
    """
    if min(first.whole, second.whole) < FEWEST:
        return None
    (p1, low1, high1), (p2, low2, high2) = _wilson(first), _wilson(second)
    return Difference(
        p1 - p2 - math.hypot(p1 - low1, high2 - p2),
        p1 - p2 + math.hypot(high1 - p1, p2 - low2),
    )


def _wilson(share: Share) -> tuple[float, float, float]:
    """The share and its Wilson interval."""
    count, part, z2 = share.whole, share.part / share.whole, _Z_95**2
    middle = (part + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z_95 / (1 + z2 / count) * math.sqrt(part * (1 - part) / count + z2 / (4 * count * count))
    return part, middle - half, middle + half
