"""One completion explained as a story: who asked, what was decided, what was tried, what it cost."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse

from gateway.dashboard.access import back_office_page, render_page
from gateway.dashboard.content_page import content_offered
from gateway.dashboard.conversation_links import conversation_url
from gateway.dashboard.links import changelist_url
from gateway.dashboard.request_query import requests_url
from gateway.engine.words import AttemptOutcome, CompletionStatus
from gateway.selectors.completions import AttemptStory, CompletionStory, FallbackStory, completion_story
from gateway.selectors.conversation_neighbours import conversation_neighbours
from gateway.selectors.decision_words import decision_words
from gateway.selectors.explanation import budget_checks
from gateway.selectors.feedback import feedback_of
from gateway.selectors.prices import price_terms
from gateway.selectors.story_order import story_order
from gateway.templatetags.plain_words import duration, usd

# Time bars are drawn on a line this long; a bar is never narrower than can be seen.
BAR_UNITS = 1000
MIN_BAR_UNITS = 6
LEAST_PAUSE_MS = 10


@dataclass(frozen=True, slots=True)
class TimeBar:
    """Where an attempt lies on the completion's time line, in `BAR_UNITS`: waited for, then read."""

    start: int
    width: int
    first_content: int | None

    @property
    def waited(self) -> int:
        """The part of the bar before the first content."""
        return (
            0 if self.first_content is None else max(0, min(self.first_content, self.start + self.width) - self.start)
        )


@dataclass(frozen=True, slots=True)
class Step:
    """An attempt, its bar, and the fallback that led to it, if one did.

    `pause_ms` is the time between the end of the attempt before (or the request's beginning) and this one.
    """

    attempt: AttemptStory
    bar: TimeBar
    fallback: FallbackStory | None
    pause_ms: int = 0

    @property
    def pause_words(self) -> str:
        """What that time went into; "" where it was too short to matter."""
        if self.pause_ms < LEAST_PAUSE_MS or self.attempt.outcome == AttemptOutcome.SKIPPED:
            return ""
        time = duration(self.pause_ms)
        if self.attempt.retry:
            return f"{time} of waiting before trying again."
        if self.attempt.number == 1:
            return f"{time} until it was sent: checks, budgets, and waiting for a place."
        return f"{time} between the attempts."


@back_office_page
def completion(request: HttpRequest, request_id: str) -> HttpResponse:
    story = completion_story(request_id=request_id)
    if story is None:
        return render_page(request, "dashboard/completion_missing.html", "Request", {"request_id": request_id}, 404)
    context = {
        "story": story,
        "line": story.line,
        "headline": headline(story),
        "steps": steps(story),
        "decision": decision_words(story.decision),
        "checks": budget_checks(story),
        "prices": price_terms(ids=(one.price_id for one in story.attempts if one.price_id is not None)),
        "feedback": feedback_of(request_id=story.line.id),
        "axis": [duration(story.span_ms * quarter / 4) for quarter in range(5)],
        "log_url": requests_url(id=story.line.id),
        "conversation_url": conversation_url(story.conversation, story.team_id) if story.conversation else "",
        "neighbours": conversation_neighbours(
            request_id=story.line.id,
            team_id=story.team_id,
            conversation=story.conversation,
            created_at=story.line.created_at,
        ),
        "content_offered": content_offered(request, story.line.id),
        "prices_url": changelist_url(request, "Price"),
        "key_url": requests_url(window="all", key=story.line.api_key) if story.line.api_key else "",
    }
    return render_page(request, "dashboard/completion.html", f"Request {story.line.id}", context)


def headline(story: CompletionStory) -> str:
    """The whole story in one sentence."""
    line = story.line
    time, cost = duration(line.latency_ms), usd(line.cost_usd)
    if line.status == CompletionStatus.PENDING:
        return "This request is still under way."
    if line.status == CompletionStatus.UNKNOWN:
        return f"We stopped before this request ended; its reserved amount of {cost} was charged."
    if line.status == CompletionStatus.CANCELLED:
        return f"The client left before the answer was complete, after {time}. It cost {cost}."
    if line.status == CompletionStatus.REFUSED:
        return f"This request was refused before it began: status {line.http_status}. It cost nothing."
    if line.status == CompletionStatus.FAILED:
        return f"This request was not answered: status {line.http_status} after {time}. It cost {cost}."
    if line.cache == "hit":
        return f"The cache answered. It took {time} and cost {cost}."
    return f"{_detour(story)}{line.provider} answered with {line.model}. It took {time} and cost {cost}."


def _detour(story: CompletionStory) -> str:
    if not story.fallbacks:
        return ""
    asked = {f"{one.provider}/{one.model}" for one in story.attempts if one.outcome != AttemptOutcome.SKIPPED}
    failed = [step.from_target for step in story.fallbacks if step.from_target in asked]
    passed_over = [step.from_target for step in story.fallbacks if step.from_target not in asked]
    parts = [f"{' and '.join(failed)} failed"] if failed else []
    if passed_over:
        parts.append(f"{' and '.join(passed_over)} {'was' if len(passed_over) == 1 else 'were'} passed over")
    return f"After {' and '.join(parts)}, "


def steps(story: CompletionStory) -> tuple[Step, ...]:
    """Each attempt with its bar; a fallback stands before the first attempt at the target it leads to."""
    told: list[Step] = []
    free_from_ms = 0
    for fallback, attempt in story_order(story):
        if attempt is None:
            continue
        pause_ms = max(0, attempt.offset_ms - free_from_ms)
        told.append(Step(attempt, time_bar(attempt, story.span_ms), fallback, pause_ms))
        free_from_ms = max(free_from_ms, attempt.offset_ms + attempt.latency_ms)
    return tuple(told)


def time_bar(attempt: AttemptStory, span_ms: int) -> TimeBar:
    start = min(attempt.offset_ms * BAR_UNITS // span_ms, BAR_UNITS - MIN_BAR_UNITS)
    width = min(max(attempt.latency_ms * BAR_UNITS // span_ms, MIN_BAR_UNITS), BAR_UNITS - start)
    first = attempt.first_content_ms
    mark = None if first is None else min((attempt.offset_ms + first) * BAR_UNITS // span_ms, BAR_UNITS)
    return TimeBar(start, width, mark)
