"""A dead Celery worker shows, and is no reason to take the gateway out of service."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from gateway.services.task_signs import worker_sign, worker_words

NOW = timezone.now()


@pytest.mark.django_db
@pytest.mark.parametrize(("seconds", "words"), [(0, "running"), (30, "running"), (31, "silent for 31 s")])
def test_a_worker_that_gives_no_sign_for_half_a_minute_is_silent(seconds: int, words: str) -> None:
    worker_sign(now=NOW - timedelta(days=1))
    worker_sign(now=NOW)
    assert worker_words(now=NOW + timedelta(seconds=seconds)).startswith(words)


@pytest.mark.django_db
def test_a_worker_that_never_ran_is_told_so() -> None:
    assert worker_words(now=NOW).startswith("no sign yet")
