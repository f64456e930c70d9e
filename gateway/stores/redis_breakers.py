"""Breakers shared by a fleet through Redis (docs/decisions/0008-breaker-in-redis.md).

A mirror per provider serves requests without a round trip while the breaker is closed and quiet. Every change of state
is one atomic script with Redis' own clock, published to all mirrors; its answer tells who caused the change, and that
process alone announces it. While Redis is away the mirrors are ordinary breakers of this process.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from gateway.engine.breaker import (
    PROBE_GRACE_SECONDS,
    BreakerChange,
    BreakerReading,
    ChangeListener,
    Outcome,
    Permit,
    Refusal,
    failure_threshold,
    provider_is_judged,
)
from gateway.engine.clock import Clock
from gateway.engine.configuration import Provider
from gateway.engine.words import BreakerState
from gateway.stores.mirror import Mirror, Report, sendable, to_ms
from gateway.stores.redis_line import TIMEOUT_SECONDS, LineDown, RedisLine, Reply
from gateway.stores.status import StoreStatus

logger = logging.getLogger("gateway.breaker")
T = TypeVar("T")

# In case a published change gets lost: a breaker that something is happening to is read this often, others less.
READ_SECONDS = 0.5
READS_WHILE_QUIET = 4
REJOIN_FIRST_SECONDS = 0.1
REJOIN_MAX_SECONDS = 2.0
# A line that broke sooner than this after it was made is flapping: the next try waits longer.
STABLE_SECONDS = 10.0
REPORTS_PER_CALL = 200
# Longer than any cool-down anybody waits for; a breaker that nobody touches for so long is forgotten.
KEEP_SECONDS = 86_400.0


class RedisBreakers:
    """A `BreakerStore`; `on_change` hears of the changes that this process caused. Never raises, and never makes a
    request wait longer than `timeout_seconds` for Redis.

    Readings are in Redis' time. `server_now` replaces Redis' clock (seconds since 1970).
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        on_change: ChangeListener,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        server_now: Callable[[], float] | None = None,
    ) -> None:
        self._line = RedisLine(url, timeout_seconds)
        self._clock = clock
        self._on_change = on_change
        self._server_now = server_now
        self._ahead_seconds = 0.0  # Redis' clock minus ours
        self._owner = secrets.token_hex(8)
        self._mirrors: dict[str, Mirror] = {}
        self._away_reason: str | None = "not connected yet"
        self._joined_at = float("-inf")
        self._rejoin_seconds = REJOIN_FIRST_SECONDS
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listener: asyncio.Task[None] | None = None

    # The process's life -----------------------------------------------------------------------------------------------

    async def start(self, providers: Iterable[Provider]) -> None:
        """Connect and learn these providers' breakers; without Redis the process begins alone."""
        for provider in providers:
            self._mirror(provider.name)
        try:
            await self._join("read")
        except LineDown as down:
            self._away_reason = None
            self._lose(str(down))
        self._spawn(self._watch())

    async def aclose(self) -> None:
        """Whatever is still asked or reported afterwards is this process's alone."""
        self._away_reason = "this process is stopping"
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._line.hang_up()

    @property
    def status(self) -> StoreStatus:
        return StoreStatus(shared=True, away_reason=self._away_reason)

    def seed(self, name: str, opened_at: float, failures: int, last_error: str) -> None:
        """Begin with an open breaker, as the rows remember it; what Redis knows goes before it."""
        breaker = self._mirror(name).breaker
        breaker.state, breaker.opened_at = BreakerState.OPEN, opened_at
        breaker.consecutive_failures, breaker.last_error = failures, last_error

    # BreakerStore -----------------------------------------------------------------------------------------------------

    async def admit(self, provider: Provider, longest_seconds: float) -> Permit | Refusal:
        mirror = self._mirror(provider.name)
        if not mirror.known and self._away_reason is None:
            await self._learn(mirror)
        breaker, now = mirror.breaker, self._now()
        if provider.forced_breaker is not None or breaker.state is BreakerState.CLOSED:
            return breaker.admit(provider, now, longest_seconds)
        next_probe_at = breaker.next_probe_at(provider.breaker)
        if next_probe_at is not None and now < next_probe_at:
            return self._refusal(provider, next_probe_at)
        if mirror.asking:
            return self._refusal(provider, now)
        return await self._probe(mirror, provider, longest_seconds)

    def is_closed(self, provider: Provider) -> bool:
        return self.reading(provider).state is BreakerState.CLOSED

    async def report(
        self, provider: Provider, permit: Permit, outcome: Outcome, *, error: str = "", request_id: str = ""
    ) -> None:
        mirror = self._mirror(provider.name)
        if outcome is Outcome.SUCCESS and _is_judged(mirror, provider, permit):
            mirror.breaker.answer(permit)
        if self._away_reason is None and not self._matters(mirror, provider, permit, outcome):
            self._count(mirror, outcome, error)
            return
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        report = Report(provider, permit, outcome, sendable(error), request_id, taken)
        if self._away_reason is not None:
            self._take_alone(mirror, report)
            return
        mirror.reports.append(report)
        if mirror.reporter is None:
            mirror.reporter = self._spawn(self._send_reports(mirror))
        await taken

    def reading(self, provider: Provider) -> BreakerReading:
        return self._mirror(provider.name).breaker.reading(provider, self._now())

    async def reset(self, provider: Provider, cause: str) -> None:
        mirror = self._mirror(provider.name)
        with suppress(LineDown):
            if self._away_reason is None:
                reply = await self._call(mirror, {"act": "reset", "cause": sendable(cause)})
                self._tell_changes(mirror, provider, reply, ())
                return
        before = mirror.breaker.state
        mirror.breaker.reset()
        self._tell_alone(mirror, provider, before, cause, "")

    def forget(self, is_over: Callable[[str], bool]) -> None:
        """Drop the mirrors of these names, unless something is under way with them; Redis forgets them by itself."""
        for mirror in [mirror for mirror in self._mirrors.values() if is_over(mirror.name)]:
            if mirror.reporter is None and mirror.learning is None and not mirror.asking:
                del self._mirrors[mirror.name]

    # Admission --------------------------------------------------------------------------------------------------------

    async def _learn(self, mirror: Mirror) -> None:
        """Ask Redis about a provider that this process has just heard of; all who need it wait for the same answer."""
        if mirror.learning is None:
            mirror.learning = self._spawn(self._read(mirror))
        await asyncio.shield(mirror.learning)

    async def _read(self, mirror: Mirror) -> None:
        try:
            with suppress(LineDown):
                await self._call(mirror, {"act": "read"})
        finally:
            mirror.learning = None

    async def _probe(self, mirror: Mirror, provider: Provider, longest_seconds: float) -> Permit | Refusal:
        """Ask for the probe; whoever is cancelled meanwhile gives it back."""
        if self._away_reason is not None:
            return self._admit_alone(mirror, provider, longest_seconds)
        mirror.asking = True
        asked = self._spawn(self._ask_for_probe(mirror, provider, longest_seconds))
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            asked.add_done_callback(lambda task: self._give_back(provider, task))
            raise

    async def _ask_for_probe(self, mirror: Mirror, provider: Provider, longest_seconds: float) -> Permit | Refusal:
        ask = {
            "act": "admit",
            "cooldown": to_ms(provider.breaker.cooldown_seconds),
            "longest": to_ms(longest_seconds + PROBE_GRACE_SECONDS),
        }
        try:
            reply = await self._call(mirror, ask)
        except LineDown:
            return self._admit_alone(mirror, provider, longest_seconds)
        finally:
            mirror.asking = False
        self._tell_changes(mirror, provider, reply, ())
        if reply["granted"] is None:
            next_probe_at = mirror.after(reply["breaker"]).next_probe_at(provider.breaker)
            return self._refusal(provider, next_probe_at if next_probe_at is not None else self._now())
        admitted_at = float(reply["now"]) / 1000
        generation = int(reply["breaker"]["generation"])
        return Permit(provider.name, generation, admitted_at, probe=reply["granted"] == "probe")

    def _give_back(self, provider: Provider, asked: asyncio.Task[Permit | Refusal]) -> None:
        if not asked.cancelled() and isinstance(permit := asked.result(), Permit):
            self._spawn(self.report(provider, permit, Outcome.NONE))

    def _refusal(self, provider: Provider, next_probe_at: float) -> Refusal:
        """In this machine's time, which is what the waiting is measured by."""
        return Refusal(provider.name, next_probe_at - self._ahead_seconds)

    # Reports ----------------------------------------------------------------------------------------------------------

    async def _send_reports(self, mirror: Mirror) -> None:
        """Send what has gathered while the last call was under way, until nothing is left."""
        try:
            while mirror.reports:
                batch, mirror.reports = mirror.reports[:REPORTS_PER_CALL], mirror.reports[REPORTS_PER_CALL:]
                try:
                    await self._send(mirror, batch)
                finally:
                    for report in batch:
                        if not report.taken.done():
                            report.taken.set_result(None)
        finally:
            mirror.reporter = None

    async def _send(self, mirror: Mirror, batch: list[Report]) -> None:
        """One call for what still matters when its turn comes."""
        sent: list[Report] = []
        for report in batch:
            if self._matters(mirror, report.provider, report.permit, report.outcome):
                sent.append(report)
            else:
                self._count(mirror, report.outcome, report.error)
        if not sent:
            return
        threshold = failure_threshold(sent[-1].provider)
        ask = {"act": "report", "failure_threshold": threshold, "reports": self._wired(mirror, sent)}
        try:
            reply = await self._call(mirror, ask)
        except LineDown:
            for report in sent:
                self._take_alone(mirror, report)
            return
        for report in sent:
            self._rate(mirror, report.outcome)
        self._tell_changes(mirror, sent[-1].provider, reply, sent)

    def _matters(self, mirror: Mirror, provider: Provider, permit: Permit, outcome: Outcome) -> bool:
        """Whether the shared breaker could move by it."""
        if not _is_judged(mirror, provider, permit):
            return False
        if permit.probe:
            return True
        if outcome is Outcome.FAILURE:
            return not mirror.breaker.is_stale(permit, self._now())
        return outcome is Outcome.SUCCESS and not mirror.quiet

    def _wired(self, mirror: Mirror, reports: list[Report]) -> list[dict[str, Any]]:
        """Where most attempts fail, failures are sent as if they had begun only now, so that none of them is stale."""
        now = self._now()
        as_reported = mirror.rate.mostly_fails(now)
        return [
            _wire(report, now if as_reported and report.outcome is Outcome.FAILURE else report.permit.admitted_at)
            for report in reports
        ]

    def _count(self, mirror: Mirror, outcome: Outcome, error: str) -> None:
        """For the failure rate, and for people: the breaker itself doesn't move."""
        self._rate(mirror, outcome)
        if outcome is Outcome.FAILURE:
            mirror.breaker.last_error = sendable(error)

    def _rate(self, mirror: Mirror, outcome: Outcome) -> None:
        if outcome is not Outcome.NONE:
            mirror.breaker.rate.add(self._now(), failed=outcome is Outcome.FAILURE)

    # Alone, while Redis is away ---------------------------------------------------------------------------------------

    def _admit_alone(self, mirror: Mirror, provider: Provider, longest_seconds: float) -> Permit | Refusal:
        before, generation = mirror.breaker.state, mirror.breaker.generation
        admission = mirror.breaker.admit(provider, self._now(), longest_seconds)
        if mirror.breaker.state is not before:
            self._tell_alone(mirror, provider, before, "the cool-down is over: one probe", "")
        elif mirror.breaker.generation != generation:
            mirror.version += 1
        if isinstance(admission, Refusal) and admission.next_probe_at is not None:
            return self._refusal(provider, admission.next_probe_at)
        return admission

    def _take_alone(self, mirror: Mirror, report: Report) -> None:
        breaker, provider = mirror.breaker, report.provider
        before, failures = breaker.state, breaker.consecutive_failures
        cause = breaker.report(provider, report.permit, report.outcome, report.error, self._now())
        if cause is not None or breaker.consecutive_failures != failures:
            self._tell_alone(mirror, provider, before, cause or "", report.request_id)

    # Telling ----------------------------------------------------------------------------------------------------------

    def _tell_alone(
        self, mirror: Mirror, provider: Provider, before: BreakerState, cause: str, request_id: str
    ) -> None:
        mirror.version += 1
        now = self._now()
        reading = mirror.breaker.reading(replace(provider, forced_breaker=None), now)
        self._on_change(BreakerChange(provider.name, now, before, reading, cause, request_id))

    def _tell_changes(
        self, mirror: Mirror, provider: Provider, reply: Reply, reports: list[Report] | tuple[()]
    ) -> None:
        """Announce what the script says this process has changed."""
        at = float(reply["now"]) / 1000
        for change in reply["changes"]:
            reading = mirror.after(change["after"]).reading(replace(provider, forced_breaker=None), at)
            index = int(change["report"])
            request_id = reports[index - 1].request_id if index else ""
            before = BreakerState(change["before"])
            self._on_change(BreakerChange(provider.name, at, before, reading, str(change["cause"]), request_id))

    # The line ---------------------------------------------------------------------------------------------------------

    async def _call(self, mirror: Mirror, ask: dict[str, Any]) -> Reply:
        """One step in Redis; the mirror knows its result. Raises LineDown, from then on this process is alone."""
        if self._away_reason is not None:
            raise LineDown(self._away_reason)
        try:
            return await self._run(mirror, ask)
        except LineDown as down:
            self._lose(str(down))
            raise

    async def _run(self, mirror: Mirror, ask: dict[str, Any]) -> Reply:
        constants: dict[str, Any] = {"provider": mirror.name, "owner": self._owner, "keep": to_ms(KEEP_SECONDS)}
        now = {} if self._server_now is None else {"now": to_ms(self._server_now())}
        constants["counted"] = mirror.rate.take()
        reply = await self._line.run(mirror.name, mirror.view(), {**ask, **constants, **now})
        mirror.rate.learn(reply["rate"])
        self._ahead_seconds = float(reply["now"]) / 1000 - self._clock.now()
        mirror.learn(reply["breaker"])
        return reply

    def _lose(self, reason: str) -> None:
        if self._away_reason is not None:
            return
        self._away_reason = reason
        for mirror in self._mirrors.values():
            mirror.rate.alone()
        if self._listener is not None:
            self._listener.cancel()
        logger.warning("Redis is away (%s): this process goes on with breakers of its own", reason)
        if self._clock.monotonic() - self._joined_at >= STABLE_SECONDS:
            self._rejoin_seconds = REJOIN_FIRST_SECONDS
        self._spawn(self._rejoin())

    async def _rejoin(self) -> None:
        while True:
            await self._line.hang_up()
            await asyncio.sleep(self._rejoin_seconds * random.uniform(0.8, 1.2))
            self._rejoin_seconds = min(self._rejoin_seconds * 2, REJOIN_MAX_SECONDS)
            try:
                await self._join("rejoin")
            except LineDown as down:
                self._away_reason = str(down)
            else:
                logger.warning("Redis is back: this process shares its breakers again")
                return

    async def _join(self, act: str) -> None:
        """Connect, and bring every mirror and Redis to the same state. Raises LineDown."""
        await self._line.connect()
        for mirror in list(self._mirrors.values()):
            await self._run(mirror, {"act": act})
        self._away_reason = None
        self._joined_at = self._clock.monotonic()
        self._listener = self._spawn(self._listen())

    async def _listen(self) -> None:
        try:
            await self._line.listen(self._heard)
        except LineDown as down:
            self._lose(str(down))

    def _heard(self, told: Reply) -> None:
        mirror = self._mirrors.get(str(told["provider"]))
        if mirror is not None and self._away_reason is None:
            mirror.learn(told)

    async def _watch(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(READ_SECONDS)
            turn += 1
            for mirror in list(self._mirrors.values()):
                if self._away_reason is None and (turn % READS_WHILE_QUIET == 0 or not mirror.quiet):
                    await self._read(mirror)

    def _now(self) -> float:
        """Redis' time, as far as it is known."""
        return self._clock.now() + self._ahead_seconds

    def _mirror(self, name: str) -> Mirror:
        mirror = self._mirrors.get(name)
        return mirror if mirror is not None else self._mirrors.setdefault(name, Mirror(name))

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the breakers' work in the background failed: %s", error, exc_info=error)


def _is_judged(mirror: Mirror, provider: Provider, permit: Permit) -> bool:
    breaker = mirror.breaker
    return permit.generation == breaker.generation and provider_is_judged(provider, permit, breaker.state)


def _wire(report: Report, began: float) -> dict[str, Any]:
    permit = report.permit
    return {
        "generation": permit.generation,
        "began": to_ms(began),
        "probe": permit.probe,
        "outcome": report.outcome.value,
        "error": report.error,
    }
