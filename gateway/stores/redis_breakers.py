"""Breakers shared by a fleet through Redis (docs/decisions/0008-breaker-in-redis.md).

A mirror per provider serves requests without a round trip while the breaker is closed and quiet. Every change of state
is one atomic script with Redis' own clock, published to all mirrors; its answer tells who caused the change, and that
process alone announces it. While Redis is away the mirrors are ordinary breakers of this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

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
from gateway.stores.redis_line import TIMEOUT_SECONDS, LineDown, Reply
from gateway.stores.redis_membership import Membership
from gateway.stores.status import StoreStatus

REPORTS_PER_CALL = 200


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
        self._fleet = Membership(url, clock, timeout_seconds=timeout_seconds, server_now=server_now)
        self._on_change = on_change

    # The process's life -----------------------------------------------------------------------------------------------

    async def start(self, providers: Iterable[Provider]) -> None:
        """Connect and learn these providers' breakers; without Redis the process begins alone."""
        await self._fleet.start(provider.name for provider in providers)

    async def aclose(self) -> None:
        """Whatever is still asked or reported afterwards is this process's alone."""
        await self._fleet.aclose()

    @property
    def status(self) -> StoreStatus:
        return StoreStatus(shared=True, away_reason=self._fleet.away_reason)

    def seed(self, name: str, opened_at: float, failures: int, last_error: str) -> None:
        """Begin with an open breaker, as the rows remember it; what Redis knows goes before it."""
        breaker = self._fleet.mirror(name).breaker
        breaker.state, breaker.opened_at = BreakerState.OPEN, opened_at
        breaker.consecutive_failures, breaker.last_error = failures, last_error

    # BreakerStore -----------------------------------------------------------------------------------------------------

    async def admit(self, provider: Provider, longest_seconds: float) -> Permit | Refusal:
        mirror = self._fleet.mirror(provider.name)
        if not mirror.known and not self._fleet.is_away:
            await self._fleet.learn(mirror)
        breaker, now = mirror.breaker, self._fleet.now()
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
        mirror = self._fleet.mirror(provider.name)
        if outcome is Outcome.SUCCESS and _is_judged(mirror, provider, permit):
            mirror.breaker.answer(permit)
        if not self._fleet.is_away and not self._matters(mirror, provider, permit, outcome):
            self._count(mirror, outcome, error)
            return
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        report = Report(provider, permit, outcome, sendable(error), request_id, taken)
        if self._fleet.is_away:
            self._take_alone(mirror, report)
            return
        mirror.reports.append(report)
        if mirror.reporter is None:
            mirror.reporter = self._fleet.spawn(self._send_reports(mirror))
        await taken

    def reading(self, provider: Provider) -> BreakerReading:
        return self._fleet.mirror(provider.name).breaker.reading(provider, self._fleet.now())

    async def reset(self, provider: Provider, cause: str) -> None:
        mirror = self._fleet.mirror(provider.name)
        with suppress(LineDown):
            if not self._fleet.is_away:
                reply = await self._fleet.call(mirror, {"act": "reset", "cause": sendable(cause)})
                self._tell_changes(mirror, provider, reply, ())
                return
        before = mirror.breaker.state
        mirror.breaker.reset()
        self._tell_alone(mirror, provider, before, cause, "")

    def forget(self, is_over: Callable[[str], bool]) -> None:
        """Drop what is known of these names; Redis forgets them by itself."""
        self._fleet.forget(is_over)

    # Admission --------------------------------------------------------------------------------------------------------

    async def _probe(self, mirror: Mirror, provider: Provider, longest_seconds: float) -> Permit | Refusal:
        """Ask for the probe; whoever is cancelled meanwhile gives it back."""
        if self._fleet.is_away:
            return self._admit_alone(mirror, provider, longest_seconds)
        mirror.asking = True
        asked = self._fleet.spawn(self._ask_for_probe(mirror, provider, longest_seconds))
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
            reply = await self._fleet.call(mirror, ask)
        except LineDown:
            return self._admit_alone(mirror, provider, longest_seconds)
        finally:
            mirror.asking = False
        self._tell_changes(mirror, provider, reply, ())
        if reply["granted"] is None:
            next_probe_at = mirror.after(reply["breaker"]).next_probe_at(provider.breaker)
            return self._refusal(provider, next_probe_at if next_probe_at is not None else self._fleet.now())
        admitted_at = float(reply["now"]) / 1000
        generation = int(reply["breaker"]["generation"])
        return Permit(provider.name, generation, admitted_at, probe=reply["granted"] == "probe")

    def _give_back(self, provider: Provider, asked: asyncio.Task[Permit | Refusal]) -> None:
        if not asked.cancelled() and isinstance(permit := asked.result(), Permit):
            self._fleet.spawn(self.report(provider, permit, Outcome.NONE))

    def _refusal(self, provider: Provider, next_probe_at: float) -> Refusal:
        """In this machine's time, which is what the waiting is measured by."""
        return Refusal(provider.name, self._fleet.in_our_time(next_probe_at))

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
            reply = await self._fleet.call(mirror, ask)
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
            return not mirror.breaker.is_stale(permit, self._fleet.now())
        return outcome is Outcome.SUCCESS and not mirror.quiet

    def _wired(self, mirror: Mirror, reports: list[Report]) -> list[dict[str, Any]]:
        """Where most attempts fail, failures are sent as if they had begun only now, so that none of them is stale."""
        now = self._fleet.now()
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
            mirror.breaker.rate.add(self._fleet.now(), failed=outcome is Outcome.FAILURE)

    # Alone, while Redis is away ---------------------------------------------------------------------------------------

    def _admit_alone(self, mirror: Mirror, provider: Provider, longest_seconds: float) -> Permit | Refusal:
        before, generation = mirror.breaker.state, mirror.breaker.generation
        admission = mirror.breaker.admit(provider, self._fleet.now(), longest_seconds)
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
        cause = breaker.report(provider, report.permit, report.outcome, report.error, self._fleet.now())
        if cause is not None or breaker.consecutive_failures != failures:
            self._tell_alone(mirror, provider, before, cause or "", report.request_id)

    # Telling ----------------------------------------------------------------------------------------------------------

    def _tell_alone(
        self, mirror: Mirror, provider: Provider, before: BreakerState, cause: str, request_id: str
    ) -> None:
        mirror.version += 1
        now = self._fleet.now()
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
