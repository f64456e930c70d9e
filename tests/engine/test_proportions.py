"""How two shares compare, against a published example and at the edges."""

from __future__ import annotations

import pytest

from gateway.engine.proportions import Share, difference


def test_the_interval_is_newcombes() -> None:
    found = difference(Share(56, 70), Share(48, 80))  # Newcombe 1998, table II (a): 0.0524 to 0.3339
    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)


@pytest.mark.parametrize(
    ("first", "second", "sign"),
    [
        (Share(30, 100), Share(5, 100), 1),
        (Share(5, 100), Share(30, 100), -1),
        (Share(6, 100), Share(5, 100), 0),
        (Share(0, 30), Share(0, 30), 0),
    ],
)
def test_a_difference_counts_only_where_chance_wouldnt_make_it(first: Share, second: Share, sign: int) -> None:
    found = difference(first, second)
    assert found is not None
    assert found.sign == sign


@pytest.mark.parametrize(("first", "second"), [(Share(29, 29), Share(0, 500)), (Share(0, 0), Share(0, 0))])
def test_small_groups_say_nothing(first: Share, second: Share) -> None:
    assert difference(first, second) is None
