"""The writer's inbox: one bell for all that a turn of an event loop puts into it."""

from __future__ import annotations

import threading

from gateway.ledger.inbox import Inbox


def test_one_ring_is_for_all_that_was_put_before_it() -> None:
    inbox: Inbox[int] = Inbox()
    for item in (1, 2, 3):
        inbox.put(item)
        inbox.ring()

    assert inbox.take(wait=True) == [1, 2, 3]
    assert inbox.take(wait=True, timeout_seconds=0.001) == []  # no bell is left to wake for


def test_what_is_put_is_seen_before_the_bell_rings() -> None:
    """A thread that is awake takes it with the next group, and a stop finds it."""
    inbox: Inbox[int] = Inbox()
    inbox.put(1)

    assert len(inbox) == 1
    assert inbox.take(wait=True) == [1]


def test_the_bell_wakes_who_waits() -> None:
    inbox: Inbox[int] = Inbox()
    taken: list[int] = []
    thread = threading.Thread(target=lambda: taken.extend(inbox.take(wait=True)))
    thread.start()
    inbox.put(1)
    inbox.ring()
    thread.join(10)

    assert taken == [1]


def test_a_bell_for_what_was_taken_already_finds_nothing() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put(1)
    assert inbox.take(wait=False) == [1]
    inbox.ring()

    assert inbox.take(wait=True) == []


def test_a_wait_ends_with_its_time_out() -> None:
    inbox: Inbox[int] = Inbox()
    assert inbox.take(wait=True, timeout_seconds=0.001) == []
