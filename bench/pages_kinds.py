"""A row or more of every other kind that a page shows: keys, feedback, batches, messages, a drill.

So that the page of a row is timed for every model that has one (`pages_addresses`).
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from django.utils import timezone

from gateway.models import (
    Alert,
    AlertChannel,
    AlertDelivery,
    ApiKey,
    Batch,
    BreakerStatus,
    Budget,
    BudgetWindow,
    Completion,
    Drill,
    Feedback,
    Organisation,
    Provider,
    SimpleRules,
    Team,
    Workload,
)

KEYS, BATCHES, THUMBS = 24, 200, 20_000
_BATCH_LINES = 1_000


def fill_kinds() -> None:
    """Over what `pages_rows` has filled; only once for a database."""
    now = timezone.now()
    _keys()
    _feedback()
    _batches(now)
    _alert_messages(now)
    _single_rows(now)


def _keys() -> None:
    teams = list(Team.objects.order_by("pk"))
    for number in range(KEYS):
        digest = hashlib.sha256(f"key {number}".encode()).hexdigest()
        team = teams[number % len(teams)]
        ApiKey.objects.create(name=f"key-{number}", hash=digest, prefix=f"sk-llmops-{number:04}", team=team)
    Workload.objects.create(name="translations", tier="simple", tag="task=translate")


def _feedback() -> None:
    thumbed = Completion.objects.order_by("-created_at").values_list("pk", "created_at")[:THUMBS]
    Feedback.objects.bulk_create(
        [
            Feedback(
                completion_id=completion,
                api_key_id=1,
                api_key_name="key-1",
                score=-1 if number % 5 == 0 else 1,
                created_at=at,
                updated_at=at,
            )
            for number, (completion, at) in enumerate(thumbed)
        ],
        batch_size=1_000,
    )


def _batches(now: datetime) -> None:
    Batch.objects.bulk_create(
        Batch(
            id=f"batch_{number:04}",
            wire="openai",
            operation="chat",
            api_key_id=1,
            api_key_name="key-1",
            state="completed",
            input_file_id=f"file-{number}",
            line_count=_BATCH_LINES,
            created_at=now - timedelta(hours=number),
            expires_at=now + timedelta(days=1),
            ended_at=now,
            lease_until=now,
        )
        for number in range(BATCHES)
    )


def _alert_messages(now: datetime) -> None:
    """One for each incident, as a channel that hears of everything gets them."""
    channel = AlertChannel(name="operations", events=["breaker_opened"])
    channel.set_url("json://127.0.0.1:9/")
    channel.save()
    AlertDelivery.objects.bulk_create(
        [
            AlertDelivery(
                alert=alert,
                event=alert.kind,
                channel_id=channel.pk,
                channel_name=channel.name,
                title="The breaker opened.",
                body="The breaker opened.",
                next_try_at=now,
                delivered_at=now,
            )
            for alert in Alert.objects.all()
        ],
        batch_size=1_000,
    )


def _single_rows(now: datetime) -> None:
    openai = Provider.objects.get(name="openai")
    ended = now - timedelta(days=1)
    Drill.objects.create(
        provider=openai, fault="503", starts_at=ended - timedelta(minutes=5), ends_at=ended, started_by="olive"
    )
    BreakerStatus.objects.get_or_create(provider="openai", defaults={"since": now})
    budget = Budget.objects.order_by("pk")[0]
    BudgetWindow.objects.create(budget_id=budget.pk, subject="", window_epoch=0)
    SimpleRules.objects.create(made_by="olive", created_at=now)
    Organisation.objects.get_or_create()
