"""Requests to the writer that somebody waits for: a record, a future on some event loop, and what became of it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from gateway.engine.errors import LedgerUnavailable
from gateway.ledger.records import BreakerEvent, Extension, Intent, Settlement

R = TypeVar("R", bound=Intent | Extension | Settlement)


@dataclass(eq=False, slots=True)
class Waiting(Generic[R]):
    """`attempted`: a transaction with it was begun, so it may have been written even when nobody was told."""

    record: R
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    encoded: Any = None
    attempted: bool = False
    done: bool = False

    @property
    def abandoned(self) -> bool:
        """Nobody waits any more (timed out or cancelled). Read from the writer's thread; a late truth does no harm."""
        return self.future.done()


@dataclass(eq=False, slots=True)
class Note:
    """News nobody waits for."""

    record: BreakerEvent
    encoded: Any = None
    attempted: bool = False
    done: bool = False


Work = Waiting[Intent] | Waiting[Extension] | Waiting[Settlement] | Note
Verdict = tuple[Waiting[Any], object]  # an exception as the second is raised where it is awaited


async def wait_for_verdict(
    waiting: Waiting[Any], timeout_seconds: float, message: str, *, late: Callable[[Waiting[Any], object], None]
) -> Any:
    """The verdict; raises it if it is an exception, LedgerUnavailable with `message` if none comes in time.

    `late` hears of a verdict that was handed out in the very moment in which the caller was cancelled.
    """
    timer = waiting.loop.call_later(timeout_seconds, _give_up, waiting.future, message)
    try:
        return await waiting.future
    except asyncio.CancelledError:
        if waiting.future.done() and not waiting.future.cancelled() and waiting.future.exception() is None:
            late(waiting, waiting.future.result())
        raise
    finally:
        timer.cancel()


def _give_up(future: asyncio.Future[Any], message: str) -> None:
    if not future.done():
        future.set_exception(LedgerUnavailable(message, retry_after_seconds=1))


@dataclass(slots=True)
class Verdicts:
    """Collects verdicts during a group and wakes every event loop once. `late` gets those nobody waited for."""

    late: Callable[[Waiting[Any], object], None]
    _pairs: list[Verdict] = field(default_factory=list)

    def add(self, waiting: Waiting[Any], verdict: object) -> None:
        waiting.done = True
        self._pairs.append((waiting, verdict))

    def deliver(self) -> None:
        by_loop: defaultdict[asyncio.AbstractEventLoop, list[Verdict]] = defaultdict(list)
        for waiting, verdict in self._pairs:
            by_loop[waiting.loop].append((waiting, verdict))
        self._pairs = []
        for loop, pairs in by_loop.items():
            with suppress(RuntimeError):  # the loop is closed: its process is on its way out
                loop.call_soon_threadsafe(self._hand_out, pairs)

    def _hand_out(self, pairs: Sequence[Verdict]) -> None:
        for waiting, verdict in pairs:
            if waiting.future.done():
                self.late(waiting, verdict)
            elif isinstance(verdict, BaseException):
                waiting.future.set_exception(verdict)
            else:
                waiting.future.set_result(verdict)


def unfinished(works: Iterable[Work]) -> list[Work]:
    return [work for work in works if not work.done]
