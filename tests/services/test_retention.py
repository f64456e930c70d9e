from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.models import Attempt, Completion, Conversation, Fallback, Organisation, UsageHourChanged
from gateway.selectors.usage_read import usage_over
from gateway.selectors.windows import TimeWindow
from gateway.services.retention import completions_prune
from gateway.services.rollups import rollups_refresh
from tests.selectors.rows import NOON, add_attempt, add_completion, add_conversation, add_fallback

pytestmark = pytest.mark.django_db

OLD = NOON - timedelta(days=31)
DAY = TimeWindow(OLD.replace(hour=0), OLD.replace(hour=0) + timedelta(days=1))


@pytest.fixture(autouse=True)
def thirty_days(db: None) -> None:
    Organisation.objects.create(completions_days=30)


@pytest.fixture
def old() -> Completion:
    completion = add_completion("old", at=OLD)
    add_attempt(completion, 1)
    add_fallback(completion)
    add_conversation("old talk", last_seen_at=OLD)
    rollups_refresh(now=NOON)
    rollups_refresh(now=NOON)
    rollups_refresh(now=NOON)
    rollups_refresh(now=NOON)
    rollups_refresh(now=NOON)
    return completion


def test_what_is_too_old_goes_with_everything_that_belongs_to_it(old: Completion) -> None:
    recent = add_completion("recent", at=NOON - timedelta(days=29))

    assert completions_prune(now=NOON) == 1

    assert list(Completion.objects.all()) == [recent]
    assert (Attempt.objects.count(), Fallback.objects.count(), Conversation.objects.count()) == (0, 0, 0)


def test_its_sums_stay(old: Completion) -> None:
    before = usage_over(DAY)

    completions_prune(now=NOON)

    assert before.completions == 1
    assert usage_over(DAY) == before


def test_what_has_not_been_added_up_stays() -> None:
    add_completion("old", at=OLD)

    assert completions_prune(now=NOON) == 0


def test_what_has_to_be_added_up_anew_stays(old: Completion) -> None:
    UsageHourChanged.objects.create(starts_at=OLD)

    assert completions_prune(now=NOON) == 0


def test_what_is_under_way_stays(old: Completion) -> None:
    add_completion("running", at=OLD, status="pending")

    assert completions_prune(now=NOON) == 1
    assert Completion.objects.get().pk == "running"


def test_without_a_limit_nothing_is_deleted(old: Completion) -> None:
    Organisation.objects.update(completions_days=None)

    assert completions_prune(now=NOON) == 0
