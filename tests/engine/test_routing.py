"""The plan: which targets, in which order, and the reason that is stored."""

import pytest

from gateway.engine.configuration import Route
from gateway.engine.routing import fits_window, plan_completion
from tests.engine.scripted import PRIMARY, ROUTE, target

DEFAULT = Route("default", ROUTE, aliases=("gpt-4-turbo",))


def test_the_plan_has_the_routes_targets_in_the_routes_order() -> None:
    assert plan_completion(DEFAULT, "default").targets == ROUTE


@pytest.mark.parametrize(
    ("asked", "reason"),
    [("default", "asked by name"), ("gpt-4-turbo", "'gpt-4-turbo' is an alias of this route")],
)
def test_the_decision_says_how_the_route_was_found_and_what_it_holds(asked: str, reason: str) -> None:
    assert plan_completion(DEFAULT, asked).decision == {
        "route": "default",
        "reason": reason,
        "targets": ["primary/model", "fallback/model"],
    }


@pytest.mark.parametrize(
    ("window", "failed", "fits"),
    [(200, 100, True), (100, 100, False), (50, 100, False), (None, 100, True), (100, None, True), (None, None, True)],
)
def test_only_a_larger_or_unknown_window_may_hold_what_was_too_long(
    window: int | None, failed: int | None, fits: bool
) -> None:
    assert fits_window(target(PRIMARY, window_tokens=window), target(PRIMARY, window_tokens=failed)) is fits
