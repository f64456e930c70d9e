"""One upstream call for any number of identical requests: the first makes the answer, the others wait for it.

In this process they wait for a future; one of them looks after what other processes make. Each keeps its own deadline.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum

from gateway.engine.clock import Clock
from gateway.engine.errors import DeadlineExceeded
from gateway.stores.answers import Alone, AnswerStore, CachedAnswer, Slot, Wait
from gateway.stores.answers import Lead as ToLead

POLL_FIRST_SECONDS = 0.02
POLL_MAX_SECONDS = 0.2


class Turn(Enum):
    """What those who waited do where there is no answer for them."""

    ALONE = "alone"  # each makes its own, as without a cache
    AGAIN = "again"  # one of them leads now


@dataclass(slots=True, eq=False)
class Flight:
    """One answer being looked for or made in this process."""

    told: asyncio.Future[CachedAnswer | Turn]
    waiters: int = 0


class Lead:
    """The right to make one answer, and the duty to tell the others of its end: `share` or `give_up`, once."""

    def __init__(self, answers: SharedAnswers, slot: Slot, flight: Flight, token: str) -> None:
        self._answers, self._slot, self._flight, self._token = answers, slot, flight, token
        self._open = True
        self.generation: int | None = None

    @property
    def wanted(self) -> bool:
        """Whether somebody else in this process waits for the answer."""
        return self._open and self._flight.waiters > 0

    def share(self, answer: CachedAnswer) -> None:
        if not self._open:
            return
        self._open = False
        if self.generation is not None:
            self._answers.store.keep(self._slot, self._token, self.generation, answer)
        self._answers.land(self._slot, self._flight, answer)

    def give_up(self, turn: Turn) -> None:
        if not self._open:
            return
        self._open = False
        self._answers.store.release(self._slot, self._token, alone=turn is Turn.ALONE)
        self._answers.land(self._slot, self._flight, turn)

    def found(self, answer: CachedAnswer | Turn) -> None:
        """It had been made already, or another process leads and told."""
        self._open = False
        self._answers.land(self._slot, self._flight, answer)


class SharedAnswers:
    def __init__(self, store: AnswerStore, clock: Clock) -> None:
        self.store = store
        self._clock = clock
        self._flights: dict[str, Flight] = {}

    async def find(self, slot: Slot, token: str, deadline_seconds: float) -> CachedAnswer | Lead | None:
        """The answer; or the lead, for whoever makes it; or None, for whoever makes an answer of its own.

        `token` is the request's own. Raises DeadlineExceeded.
        """
        give_up_at = self._clock.monotonic() + deadline_seconds
        while True:
            flight = self._flights.get(slot.digest)
            if flight is None:
                return await self._look(slot, token, give_up_at)
            told = await self._follow(flight, give_up_at)
            if not isinstance(told, Turn):
                return told
            if told is Turn.ALONE:
                return None

    def unshared(self, slot: Slot, token: str) -> Lead:
        """For a new answer that nobody waits for and that takes the place of the kept one."""
        lead = Lead(self, slot, Flight(asyncio.get_running_loop().create_future()), token)
        lead.generation = self.store.generation
        return lead

    def land(self, slot: Slot, flight: Flight, told: CachedAnswer | Turn) -> None:
        if self._flights.get(slot.digest) is flight:
            del self._flights[slot.digest]
        if not flight.told.done():
            flight.told.set_result(told)

    async def _look(self, slot: Slot, token: str, give_up_at: float) -> CachedAnswer | Lead | None:
        flight = Flight(asyncio.get_running_loop().create_future())
        self._flights[slot.digest] = flight
        lead = Lead(self, slot, flight, token)
        try:
            looked = await self._poll(slot, token, give_up_at)
        except BaseException:  # the lease may have been given all the same
            lead.give_up(Turn.AGAIN)
            raise
        if isinstance(looked, ToLead):
            lead.generation = looked.generation
            return lead
        if isinstance(looked, Alone):
            lead.found(Turn.ALONE)
            return None
        lead.found(looked)
        return looked

    async def _poll(self, slot: Slot, token: str, give_up_at: float) -> CachedAnswer | ToLead | Alone:
        """Until another process has made it or given it up."""
        wait_seconds = POLL_FIRST_SECONDS
        while isinstance(looked := await self.store.look(slot, token), Wait):
            if self._clock.monotonic() + wait_seconds >= give_up_at:
                raise _too_late()
            await self._clock.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, POLL_MAX_SECONDS)
        return looked

    async def _follow(self, flight: Flight, give_up_at: float) -> CachedAnswer | Turn:
        flight.waiters += 1
        try:
            async with self._clock.timeout(max(0.0, give_up_at - self._clock.monotonic())):
                return await asyncio.shield(flight.told)
        except TimeoutError:
            raise _too_late() from None
        finally:
            flight.waiters -= 1


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("An identical request is being answered, and its answer did not come before the deadline.")
