from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from gateway.selectors.breakers import BreakerView, breaker_list
from tests.selectors.rows import add_provider, open_breaker

pytestmark = pytest.mark.django_db


def test_a_provider_without_a_row_is_closed_and_has_never_failed() -> None:
    add_provider("openai")

    assert breaker_list() == (
        BreakerView(
            "openai", enabled=True, state="closed", forced=None, forced_reason="", seen=False, failure_threshold=5
        ),
    )


def test_trouble_stands_first_and_what_is_switched_off_last() -> None:
    add_provider("a-off", enabled=False)
    for name in ("b-closed", "c-testing", "d-open"):
        add_provider(name)
    open_breaker("c-testing", state="half_open")
    open_breaker("d-open")

    assert [view.provider for view in breaker_list()] == ["d-open", "c-testing", "b-closed", "a-off"]


def test_a_breaker_held_by_hand_shows_the_order_and_no_next_probe() -> None:
    add_provider("openai", forced_breaker="open", forced_breaker_reason="maintenance")
    open_breaker("openai", state="closed")

    (view,) = breaker_list()

    assert (view.state, view.forced, view.forced_reason, view.next_probe_at) == ("open", "open", "maintenance", None)


def test_rows_of_providers_out_of_use_are_not_shown() -> None:
    open_breaker("gone")

    assert breaker_list() == ()


def test_the_list_takes_two_queries_however_many_providers(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for index in range(5):
        add_provider(f"p{index}")
        open_breaker(f"p{index}")

    with django_assert_num_queries(2):
        breaker_list()
