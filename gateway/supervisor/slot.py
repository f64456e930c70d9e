"""A part's place: whoever fills it is restarted when it dies and may be replaced while it runs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from gateway.supervisor.child import Child, Output, start_child
from gateway.supervisor.spec import Part, Role

RESTART_SECONDS = 0.5  # before the first restart; doubled with each death in a row
RESTART_MAX_SECONDS = 30.0
STABLE_SECONDS = 30.0  # a child that ran this long does not count as dying in a row
DEATHS_IN_A_ROW = 5  # of a gateway worker: more restarts would not help
DEATHS_BEFORE_READY = 2  # of a part that has never been ready: most likely it never will be
READY_TIMEOUT_SECONDS = 60.0

Say = Callable[[str], None]


class GaveUp(Exception):
    """A part can't be kept running; the text has its last output."""


class Slot:
    """Keeps one part running. `keep` runs until `retire`; it raises GaveUp when restarting is of no use."""

    def __init__(self, part: Part, output: Output, say: Say, *, restart_seconds: float = RESTART_SECONDS) -> None:
        self.part = part
        self.child: Child | None = None
        self.retired = False
        self._output = output
        self._say = say
        self._restart_seconds = restart_seconds
        self._ready = asyncio.Event()
        self._passing: set[Child] = set()  # on their way in or out

    async def start(self) -> Child:
        self.child = await start_child(self.part, self._output, on_ready=self._ready.set)
        return self.child

    def go(self) -> None:
        if self.child is not None:
            self.child.go()

    async def until_ready(self) -> None:
        """Returns once a child has been ready; raises GaveUp when that takes too long."""
        try:
            async with asyncio.timeout(READY_TIMEOUT_SECONDS):
                await self._ready.wait()
        except TimeoutError:
            tail = self.child.last_words() if self.child else ""
            raise GaveUp(
                f"{self.part.name} was not ready within {READY_TIMEOUT_SECONDS:g} s. Its last output:\n{tail}"
            ) from None

    async def keep(self) -> None:
        deaths = 0
        while not self.retired:
            child = self.child or await self.start()
            status = await child.ended()
            if self.retired or child is not self.child:
                continue
            deaths = 1 if child.age_seconds() >= STABLE_SECONDS else deaths + 1
            self.child = None
            await self._after_death(child, status, deaths)

    async def _after_death(self, child: Child, status: int, deaths: int) -> None:
        how = f"{self.part.name} ended ({_status_text(status)})"
        if self._hopeless(deaths):
            raise GaveUp(f"{how} {deaths} times in a row. Its last output:\n{child.last_words()}")
        delay = min(self._restart_seconds * 2 ** (deaths - 1), RESTART_MAX_SECONDS)
        self._say(f"{how}; starting it again in {delay:g} s.")
        await asyncio.sleep(delay)
        if self.child is None and not self.retired:  # a replacement may have taken the place meanwhile
            (await self.start()).go()

    def _hopeless(self, deaths: int) -> bool:
        """Without a task worker requests are still answered: once it has run, it is tried for as long as it takes."""
        if not self._ready.is_set():
            return deaths >= DEATHS_BEFORE_READY
        return self.part.role is Role.GATEWAY and deaths >= DEATHS_IN_A_ROW

    async def replace(self) -> bool:
        """A fresh child takes over, only then the old one drains; returns when it has ended.

        False, and the old one goes on, if the fresh one does not get ready.
        """
        fresh = await start_child(self.part, self._output)
        self._passing.add(fresh)
        fresh.go()
        if not await wait_ready(fresh, READY_TIMEOUT_SECONDS):
            self._say(f"The new {self.part.name} did not get ready; the old one goes on.\n{fresh.last_words()}")
            await self._see_off(fresh)
            return False
        old, self.child = self.child, fresh
        self._passing.discard(fresh)
        if old is not None:
            await self._see_off(old)
        return True

    async def _see_off(self, child: Child) -> None:
        self._passing.add(child)
        await child.stop()
        await child.ended()
        self._passing.discard(child)

    async def retire(self) -> None:
        """Stops the child, and those on their way in or out; bounded by the part's stop time-out."""
        self.retired = True
        await asyncio.gather(*(child.stop() for child in self._all()))

    def kill(self) -> None:
        self.retired = True
        for child in self._all():
            child.send(signal.SIGKILL)

    def _all(self) -> list[Child]:
        return [*self._passing, *([self.child] if self.child else [])]


async def wait_ready(child: Child, timeout_seconds: float) -> bool:
    """False if it ends or takes longer."""
    ready = asyncio.create_task(child.ready.wait())
    ended = asyncio.create_task(child.process.wait())
    done, pending = await asyncio.wait((ready, ended), timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return ready in done


def _status_text(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
