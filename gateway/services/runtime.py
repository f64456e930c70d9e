"""What one gateway process holds while it serves: configuration, engine, ledger, connections."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import DatabaseError

from gateway.engine.breaker import BreakerChange
from gateway.engine.clock import SYSTEM_CLOCK, Clock
from gateway.engine.completion import Engine
from gateway.engine.configuration import Provider
from gateway.engine.drill import lane_parts
from gateway.engine.exchange import Caller
from gateway.ledger.connections import ledger_connections, ledger_lock_path
from gateway.ledger.records import BreakerEvent
from gateway.ledger.spool import Spool
from gateway.ledger.writer import LedgerWriter
from gateway.providers.registry import Callers, drilled_caller, import_sdks
from gateway.services.breaker_memory import open_breakers
from gateway.services.content_writing import ContentWriter
from gateway.services.drill_traces import drill_traces_forget
from gateway.services.idempotency_records import IdempotencyRecords
from gateway.services.key_uses import KeyUses
from gateway.services.metrics_sampling import Sampling
from gateway.services.refusals import Refusals
from gateway.services.row_thread import RowThread
from gateway.services.shared_answers import SharedAnswers
from gateway.services.snapshot import Snapshot
from gateway.services.snapshot_holder import SnapshotHolder
from gateway.stores.choice import Stores, stores_in_memory, stores_in_redis
from gateway.tracing import tracing_start, tracing_stop

logger = logging.getLogger("gateway.breaker")

# News of failures that change no state are told at most this often per provider; changes of state always.
NEWS_INTERVAL_SECONDS = 1.0
# How long start-up waits for the first configuration before it serves without one (and says so at /readyz).
FIRST_CONFIGURATION_SECONDS = 5.0


class Runtime:
    """Started and stopped with the process's event loop; `stop` waits for what is being settled."""

    def __init__(
        self, holder: SnapshotHolder, ledger: LedgerWriter, clock: Clock = SYSTEM_CLOCK, *, redis_url: str = ""
    ) -> None:
        self.holder = holder
        self.clock = clock
        self.ledger = ledger
        self.callers = Callers()
        stores = self._stores(redis_url, clock)
        self.breakers = stores.breakers
        self.limits = stores.limits
        self.answers = SharedAnswers(stores.answers, clock)
        self.idempotency = IdempotencyRecords()
        self.content = ContentWriter()
        self.feedback = RowThread("feedback")
        self.key_uses = KeyUses()
        self.engine = Engine(self._caller_of, self.breakers, clock)
        self.started_at = time.time()
        self.breaking_off = False  # the drain is over: whatever is cancelled now is our doing, not its client's
        self.sampling = Sampling(self)
        self.refusals = Refusals(lambda refusal: self.ledger.note(refusal), clock)
        self._background: set[asyncio.Task[Any]] = set()
        self._called_for: Snapshot | None = None  # whose providers the callers know as wanted
        self._last_news: dict[str, float] = {}
        self._held_news: dict[str, BreakerChange] = {}

    @property
    def snapshot(self) -> Snapshot:
        return self.holder.current

    def start(self) -> None:
        self.holder.start()
        self.ledger.start()

    async def start_breakers(self) -> None:
        """Take up the breakers where this process, or the fleet, left them; the database may be away."""
        try:
            remembered = await asyncio.to_thread(open_breakers)
        except DatabaseError as error:
            logger.warning("the breakers' rows can't be read, all begin closed: %s", error)
            remembered = ()
        for one in remembered:
            self.breakers.seed(one.provider, one.opened_at, one.consecutive_failures, one.last_error)
        await self.limits.start()
        await self.answers.store.start()
        self.key_uses.start()
        self.sampling.start()
        await self.breakers.start(self.snapshot.providers.values() if self.holder.loaded else ())

    async def stop(self) -> None:
        """Wait for settlements under way, then close everything in the order of dependence."""
        await self._background_finished()
        await self.sampling.aclose()
        await self.limits.aclose()
        await self.breakers.aclose()
        for provider in list(self._held_news):
            self._note_held(provider)
        await self.callers.aclose()
        await self._background_finished()  # a call that was cut has left its settlement there
        await self.answers.store.aclose()
        await self.idempotency.aclose()
        await self.content.aclose()
        await self.feedback.aclose()
        await self.key_uses.aclose()
        self.refusals.flush()
        await asyncio.to_thread(self.ledger.stop)
        await asyncio.to_thread(self.holder.stop)

    async def _background_finished(self) -> None:
        while self._background:  # what is waited for may leave more
            await asyncio.gather(*self._background, return_exceptions=True)

    def missing(self) -> list[str]:
        """What keeps this process from serving, in words that anybody may read; empty when it is ready."""
        missing = []
        if not self.holder.loaded:
            missing.append("the configuration has not been read from the database yet")
        elif not self.snapshot.routes:
            missing.append("no route is configured: apply a configuration file or add a route in the back office")
        if not self.ledger.healthy and not self.ledger.answers_from_spool:
            missing.append("the ledger cannot write: the database does not answer as it should; the log says why")
        return missing

    def degraded(self) -> list[str]:
        """What this process serves without, in words that anybody may read."""
        if not self.ledger.answers_from_spool:
            return []
        return [
            "the ledger's database is away: requests are written to the local spool, and those under a budget that "
            "blocks are refused"
        ]

    def in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Finish something that nobody waits for, such as the settlement of a client that has left."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background_done)

    def _background_done(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("work in the background failed: %s", error, exc_info=error)

    def _caller_of(self, provider: Provider) -> Caller:
        """The provider's caller; with the first call after a change the callers hear what is configured now."""
        snapshot = self.snapshot
        if snapshot is not self._called_for:
            self._called_for = snapshot
            self.callers.want(snapshot.providers.values())
            drill_traces_forget(self.engine, self.breakers, snapshot.drills)
        caller = self.callers.of(provider)
        return caller if provider.drill is None else drilled_caller(caller, provider, provider.drill, self.clock.sleep)

    def _stores(self, redis_url: str, clock: Clock) -> Stores:
        if redis_url:
            timeout_seconds = settings.LLMOPS_REDIS_TIMEOUT_MS / 1000
            return stores_in_redis(redis_url, clock, self._breaker_changed, timeout_seconds=timeout_seconds)
        return stores_in_memory(clock, self._breaker_changed)

    def _breaker_changed(self, change: BreakerChange) -> None:
        moved = change.before is not change.reading.state
        if not moved and lane_parts(change.provider)[1] is not None:
            return  # of a drill's breaker only the changes of state are told
        if moved:
            _log_transition(change)
        else:
            wait_seconds = self._last_news.get(change.provider, 0.0) + NEWS_INTERVAL_SECONDS - change.at
            if wait_seconds > 0:
                self._hold_back(change, wait_seconds)
                return
        self._note(change)

    def _hold_back(self, change: BreakerChange, wait_seconds: float) -> None:
        """The last news of an interval are told at its end."""
        if change.provider not in self._held_news:
            asyncio.get_running_loop().call_later(wait_seconds, self._note_held, change.provider)
        self._held_news[change.provider] = change

    def _note_held(self, provider: str) -> None:
        if (change := self._held_news.get(provider)) is not None:
            self._note(change)

    def _note(self, change: BreakerChange) -> None:
        self._held_news.pop(change.provider, None)
        self._last_news[change.provider] = change.at
        self.ledger.note(_breaker_event(change))


def _log_transition(change: BreakerChange) -> None:
    facts = {
        "provider": change.provider,
        "from": change.before.value,
        "to": change.reading.state.value,
        "cause": change.cause,
        "request": change.request_id or "-",
        "last_error": change.reading.last_error or "-",
    }
    logger.warning("breaker %s", " ".join(f"{name}={value}" for name, value in facts.items()), extra={"facts": facts})


def _breaker_event(change: BreakerChange) -> BreakerEvent:
    reading = change.reading
    provider, drill_id = lane_parts(change.provider)
    return BreakerEvent(
        provider=provider,
        at=datetime.fromtimestamp(change.at, UTC),
        from_state=change.before.value,
        to_state=reading.state.value,
        cause=change.cause,
        consecutive_failures=reading.consecutive_failures,
        failure_rate=reading.failure_rate,
        opened_at=_utc(reading.opened_at),
        next_probe_at=_utc(reading.next_probe_at),
        last_error=reading.last_error,
        request_id=change.request_id,
        drill_id=drill_id,
    )


def _utc(epoch_seconds: float | None) -> datetime | None:
    return None if epoch_seconds is None else datetime.fromtimestamp(epoch_seconds, UTC)


_running: Runtime | None = None


async def runtime_start() -> Runtime:
    """Start this process's runtime on the running event loop; ready once the first configuration has been read."""
    global _running
    spool = Spool(settings.LLMOPS_SPOOL_FOLDER, max_bytes=settings.LLMOPS_SPOOL_MAX_BYTES)
    ledger = LedgerWriter(ledger_connections(), lock_path=ledger_lock_path(), spool=spool)
    runtime = Runtime(SnapshotHolder(), ledger, redis_url=settings.REDIS_URL)
    runtime.start()
    if await asyncio.to_thread(runtime.holder.wait, FIRST_CONFIGURATION_SECONDS):
        kinds = {provider.kind for provider in runtime.snapshot.providers.values()}
        await asyncio.to_thread(import_sdks, kinds)
    await runtime.start_breakers()
    tracing_start()
    _running = runtime
    return runtime


def runtime_break_off() -> None:
    """The drain is over: from now on what is cancelled has failed, and its client has not left."""
    if _running is not None:
        _running.breaking_off = True


async def runtime_stop() -> None:
    global _running
    runtime, _running = _running, None
    if runtime is not None:
        await runtime.stop()
    await asyncio.to_thread(tracing_stop)


def running_runtime() -> Runtime:
    """The runtime of this process. Raises RuntimeError in a process that doesn't serve the agents' API."""
    if _running is None:
        raise RuntimeError("this process doesn't serve the agents' API (its ASGI lifespan has not run)")
    return _running
