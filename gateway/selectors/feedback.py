"""What users thought of answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.models.feedback import GOOD, Feedback

# More than one key of a team rarely speaks of one request.
MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class FeedbackStory:
    """One key's last word on a completion. `score` is 1 or -1."""

    score: int
    note: str
    api_key: str
    updated_at: datetime

    @property
    def good(self) -> bool:
        return self.score == GOOD


def feedback_of(*, request_id: str) -> tuple[FeedbackStory, ...]:
    """Newest first. One query."""
    rows = Feedback.objects.filter(completion_id=request_id).order_by("-updated_at", "-pk")[:MOST_SHOWN]
    return tuple(FeedbackStory(row.score, row.note, row.api_key_name, row.updated_at) for row in rows)
