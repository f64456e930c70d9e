"""`manage.py explain` tells a request in the order in which it happened."""

from __future__ import annotations

from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command

from gateway.models import Completion
from tests.selectors.rows import add_attempt, add_completion, add_fallback

pytestmark = pytest.mark.django_db

ANTHROPIC = {"provider": "anthropic", "model": "claude-3-5-sonnet-20241022"}


def explained(completion: Completion) -> list[str]:
    out = StringIO()
    call_command("explain", completion.pk, stdout=out)
    return out.getvalue().splitlines()


def asked_twice(second: str) -> Completion:
    completion = add_completion("req_1", **ANTHROPIC)
    add_attempt(completion, 1, provider="openai", model="gpt-4-turbo", outcome="failed", failure="server_error")
    add_attempt(completion, 2, target_index=1, outcome=second)
    return completion


def beginnings(lines: list[str]) -> list[str]:
    return [line.split("ms  ")[1].split()[0] for line in lines if line.startswith("  +")]


def test_a_fallback_is_told_before_the_attempt_it_led_to() -> None:
    completion = asked_twice("succeeded")
    add_fallback(completion)

    assert beginnings(explained(completion)) == ["attempt", "fallback", "attempt"]


def test_a_fallback_that_led_to_no_attempt_is_told_last() -> None:
    completion = asked_twice("skipped")
    add_fallback(completion)

    assert beginnings(explained(completion)) == ["attempt", "attempt", "fallback"]


@pytest.mark.parametrize(
    ("extra_usd", "words"), [("0.0012", "extra cost $0.0012"), ("-0.0015", "saved $0.0015"), ("0", "extra cost $0.00")]
)
def test_what_a_fallback_cost_less_is_called_saved(extra_usd: str, words: str) -> None:
    completion = asked_twice("succeeded")
    add_fallback(completion, extra_cost_usd=Decimal(extra_usd))

    (line,) = (line for line in explained(completion) if "fallback from" in line)
    assert line.endswith(f"; {words}")
