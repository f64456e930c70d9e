"""Whose turn it is to work at a batch: one worker's at a time, by a lease that a dead one can't hold on to."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from gateway.models import Batch


class TurnLost(Exception):
    """Somebody else has taken the batch over: whoever sees this stops."""


class Turn:
    """One worker's turn at one batch. Renew it between steps; each step may be repeated by the next worker."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._holder = secrets.token_hex(8)

    def now(self) -> datetime:
        return timezone.now()

    def take(self) -> bool:
        """Whether it is ours; false while another worker's lease runs."""
        free = Batch.objects.filter(pk=self._batch.pk, ended_at=None, lease_until__lte=self.now())
        return bool(free.update(lease_until=self._until(), holder=self._holder))

    def renew(self) -> None:
        """Raises TurnLost."""
        mine = Batch.objects.filter(pk=self._batch.pk, holder=self._holder)
        if not mine.update(lease_until=self._until()):
            raise TurnLost

    def give_back(self) -> None:
        Batch.objects.filter(pk=self._batch.pk, holder=self._holder).update(lease_until=self.now(), holder="")

    def _until(self) -> datetime:
        return self.now() + timedelta(seconds=settings.LLMOPS_BATCH_LEASE_SECONDS)
