"""When keys were last used: noted in memory by the requests, written in the background."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from django.db import DatabaseError, connections
from django.db.models import Q

from gateway.models import ApiKey

logger = logging.getLogger("gateway.keys")

# A key is written at most this often.
INTERVAL = timedelta(seconds=60)
LOOK_SECONDS = 2.0


class KeyUses:
    """One process's notes. `note` costs a request nothing but an entry in a dictionary."""

    def __init__(self) -> None:
        self._noted: dict[int, datetime] = {}
        self._written: dict[int, datetime] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, key_id: int, at: datetime) -> None:
        self._noted[key_id] = at

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._run())

    async def aclose(self) -> None:
        """Write what is noted, however recent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._write(dict(self._noted))

    def due(self) -> dict[int, datetime]:
        """What may be written now."""
        return {
            key_id: at
            for key_id, at in dict(self._noted).items()  # a copy: the back office's threads note too
            if key_id not in self._written or at - self._written[key_id] >= INTERVAL
        }

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._write(self.due())

    async def _write(self, uses: dict[int, datetime]) -> None:
        if not uses:
            return
        uses = dict(uses)
        try:
            await asyncio.to_thread(_in_thread, uses)
        except DatabaseError as error:
            logger.warning("when keys were last used is written later: %s", error)
            return
        self._written.update(uses)
        for key_id, at in uses.items():
            if self._noted.get(key_id) == at:
                del self._noted[key_id]


def _in_thread(uses: dict[int, datetime]) -> None:
    try:
        keys_used(uses)
    finally:
        connections.close_all()


def keys_used(uses: dict[int, datetime]) -> None:
    """Write when these keys (by id) were last used; never an older time over a newer one. No configuration changes."""
    for key_id, at in uses.items():
        older = Q(last_used_at=None) | Q(last_used_at__lt=at)
        ApiKey.objects.filter(older, pk=key_id).update(last_used_at=at)
