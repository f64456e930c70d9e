"""Requests with a decision about the cheap model, as the ledger keeps them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from gateway.models import Completion, Feedback
from tests.selectors.rows import add_completion

CHEAP, STRONG = "openai/gpt-3.5-turbo", "openai/gpt-4-turbo"
NOW = timezone.now().replace(microsecond=0)


def add_decided(
    request_id: str, choice: str, *, thumb: int = 0, reason: str = "score", mode: str = "25%", **values: Any
) -> Completion:
    """1,000 tokens in and 100 out; answered by whom the choice says, unless told otherwise."""
    tier = "complex" if choice == "strong" else "simple"
    stored = {"mode": mode, "choice": choice, "reason": reason, "tier": tier, "target": CHEAP, "instead_of": STRONG}
    model = "gpt-3.5-turbo" if choice == "sent" else "gpt-4-turbo"
    cost = Decimal("0.00065") if choice == "sent" else Decimal("0.013")
    known = {
        "model": model,
        "cost_usd": cost,
        "input_tokens": 1_000,
        "output_tokens": 100,
        "decision": {"simple": stored},
    }
    row = add_completion(request_id, at=NOW - timedelta(minutes=5), **known | values)
    if thumb:
        Feedback.objects.create(
            completion=row, api_key_id=1, api_key_name="agents", score=thumb, created_at=NOW, updated_at=NOW
        )
    return row
