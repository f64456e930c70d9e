"""Requests to the writer that somebody waits for: a record, a future on some event loop, and what became of it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from gateway.engine.errors import LedgerUnavailable
from gateway.ledger.detour import Detour
from gateway.ledger.records import BreakerEvent, Extension, Intent, Refusal, Settlement

R = TypeVar("R", bound=Intent | Extension | Settlement)


@dataclass(eq=False, slots=True)
class Waiting(Generic[R]):
    """`attempted`: a transaction with it was begun, so it may have been written even when nobody was told.
    `failed_before`: an error that nobody foresaw ended the try. `spooled`: its caller has been answered, the spool has
    it, and whatever becomes of it here changes nothing."""

    record: R
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    encoded: Any = None
    attempted: bool = False
    failed_before: bool = False
    done: bool = False
    spooled: bool = False

    @property
    def abandoned(self) -> bool:
        """Nobody waits any more (timed out or cancelled). Read from the writer's thread; a late truth does no harm."""
        return self.future.done()


@dataclass(eq=False, slots=True)
class Note:
    """News nobody waits for."""

    record: BreakerEvent | Refusal
    encoded: Any = None
    attempted: bool = False
    failed_before: bool = False
    done: bool = False
    spooled: bool = False


Work = Waiting[Intent] | Waiting[Extension] | Waiting[Settlement] | Note
Verdict = tuple[Waiting[Any], object]  # an exception as the second is raised where it is awaited


async def wait_for_verdict(
    waiting: Waiting[Any],
    timeout_seconds: float,
    message: str,
    *,
    late: Callable[[Waiting[Any], object], None],
    detour: Detour | None = None,
) -> Any:
    """The verdict; raises it if it is an exception. If none comes in time the `detour` is taken, without one
    LedgerUnavailable with `message` is raised.

    `late` hears of a verdict that was handed out in the very moment in which the caller was cancelled.
    """
    timer = waiting.loop.call_later(timeout_seconds, _give_up, waiting, message, detour)
    try:
        return await waiting.future
    except asyncio.CancelledError:
        if waiting.future.done() and not waiting.future.cancelled() and waiting.future.exception() is None:
            late(waiting, waiting.future.result())
        raise
    finally:
        timer.cancel()


def _give_up(waiting: Waiting[Any], message: str, detour: Detour | None) -> None:
    if waiting.future.done():
        return
    if detour is None:
        waiting.future.set_exception(LedgerUnavailable(message, retry_after_seconds=1))
        return
    try:
        verdict = detour.take(waiting.record)
    except Exception as error:
        waiting.future.set_exception(error)
    else:
        # In this order: the writer's thread must not take for abandoned what the spool has.
        waiting.spooled = True
        waiting.future.set_result(verdict)


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
                if not waiting.spooled:
                    self.late(waiting, verdict)
            elif isinstance(verdict, BaseException):
                waiting.future.set_exception(verdict)
            else:
                waiting.future.set_result(verdict)


def unfinished(works: Iterable[Work]) -> list[Work]:
    return [work for work in works if not work.done and not work.spooled]
