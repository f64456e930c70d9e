"""In what order a request's attempts and fallbacks are told."""

from __future__ import annotations

from gateway.engine.words import AttemptOutcome
from gateway.selectors.completions import AttemptStory, CompletionStory, FallbackStory

Told = tuple[FallbackStory | None, AttemptStory | None]


def story_order(story: CompletionStory) -> list[Told]:
    """Each attempt, with the fallback that led to it: it stands before the first attempt at its target.

    A fallback that led to no attempt, because the next target was skipped as well, comes last, on its own.
    """
    pending = list(story.fallbacks)
    told: list[Told] = []
    for attempt in story.attempts:
        target = f"{attempt.provider}/{attempt.model}"
        asked = attempt.outcome != AttemptOutcome.SKIPPED
        leads_here = bool(pending) and pending[0].to_target == target and asked
        told.append((pending.pop(0) if leads_here else None, attempt))
    return told + [(step, None) for step in pending]
