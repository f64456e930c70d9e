"""The short form of `python -m bench.books`: what was billed is what is booked (docs/books.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.audit import Booked, requests_disagreeing
from bench.books import kills, limit, mixture
from bench.clients import trace_of


def test_workers_killed_three_times_leave_balanced_books(tmp_path: Path) -> None:
    faults, _ = kills(tmp_path, count=3, clients=8)
    assert faults == []


def test_three_hundred_mixed_calls_are_booked_as_billed_or_above(tmp_path: Path) -> None:
    faults, _ = mixture(tmp_path, count=300, clients=30)
    assert faults == []


def test_a_blocking_budget_holds_for_two_processes(tmp_path: Path) -> None:
    faults, _ = limit(tmp_path, what="budget", processes=2, clients=20, requests=150)
    assert faults == []


@pytest.mark.parametrize(
    ("booked", "said"),
    [
        ([], "is not in the ledger"),
        ([Booked("a", "c", "answered", "reported", 5)] * 2, "2 times"),
        ([Booked("a", "c", "answered", "reported", 6)], "booked at 6, billed 5"),
        ([Booked("a", "c", "failed", "estimated", 4)], "booked at 4, billed 5"),
    ],
)
def test_the_audit_sees_what_is_lost_doubled_or_wrong(booked: list[Booked], said: str) -> None:
    faults = requests_disagreeing({trace_of(1): 5}, booked, {"c": 1})
    assert said in " ".join(faults)


@pytest.mark.parametrize("billing", ["estimated", "unknown"])
def test_the_audit_lets_an_upper_bound_pass(billing: str) -> None:
    assert requests_disagreeing({trace_of(1): 5}, [Booked("a", "c", "failed", billing, 9)], {"c": 1}) == []
