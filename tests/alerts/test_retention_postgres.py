"""What goes and what stays of old incidents, as PostgreSQL understands the same questions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.utils import ConnectionHandler

from gateway.alerts.retention import incidents_prune
from gateway.models import Alert, Organisation
from tests.alerts.conftest import NOW
from tests.pages_database import in_use

pytestmark = pytest.mark.postgres
LONG_AGO = NOW - timedelta(days=100)


@pytest.fixture
def sixty_days(postgres_pages: ConnectionHandler) -> Iterator[None]:
    with in_use(postgres_pages), transaction.atomic():
        Organisation.objects.create(completions_days=60)
        yield
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    ("kind", "cause", "closed", "pruned"),
    [
        pytest.param("breaker_opened", "7", True, 1, id="over"),
        pytest.param("breaker_opened", "7", False, 0, id="open"),
        pytest.param("budget_threshold", "3 research 1761955200 50", True, 1, id="threshold of a month"),
        pytest.param("budget_threshold", "3 research 0 50", True, 0, id="threshold without a reset"),
        pytest.param("budget_blocked", "3 research 1761955200", True, 1, id="refusals of a month"),
        pytest.param("budget_blocked", "3 research 0", True, 0, id="refusals without a reset"),
    ],
)
def test_old_incidents_go_but_what_keeps_something_from_being_told_twice(
    sixty_days: None, kind: str, cause: str, closed: bool, pruned: int
) -> None:
    Alert.objects.create(
        kind=kind,
        subject="a",
        message="m",
        opened_at=LONG_AGO,
        closed_at=LONG_AGO if closed else None,
        opened_by=cause,
    )
    assert incidents_prune(now=NOW) == pruned
    assert Alert.objects.count() == 1 - pruned
