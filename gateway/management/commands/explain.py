"""`manage.py explain [REQUEST_ID]`: what a request did and why, in words; the latest one without an id."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from gateway.ledger.money import extra_words, usd_text
from gateway.selectors.completions import (
    AttemptStory,
    CompletionStory,
    FallbackStory,
    completion_list_recent,
    completion_story,
)
from gateway.selectors.story_order import story_order


class Command(BaseCommand):
    help = "Tell what a request did and why: its attempts, fallbacks and cost. Without an id, the latest one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("request_id", nargs="?", help="as in the X-Request-Id header of the reply")

    def handle(self, *args: Any, **options: Any) -> None:
        request_id = options["request_id"] or _latest()
        story = completion_story(request_id=request_id)
        if story is None:
            raise CommandError(f"There is no completion {request_id}.")
        self.stdout.write("\n".join(tell(story)))


def _latest() -> str:
    lines = completion_list_recent(limit=1)
    if not lines:
        raise CommandError("There is no completion yet: send a request first.")
    return lines[0].id


def tell(story: CompletionStory) -> list[str]:
    """The story, a line per fact."""
    line = story.line
    ending = f"{line.status} (HTTP {line.http_status})" + (f": {story.error_message}" if story.error_message else "")
    return [
        f"{line.id}  {line.created_at:%Y-%m-%d %H:%M:%S} UTC  {ending}",
        f"asked for {line.requested_model!r} by {line.api_key}, conversation {story.conversation}",
        *([f"part of fire drill {line.drill_id}: it counts in no objective"] if line.drill_id is not None else []),
        f"route {line.route}: {', then '.join(story.decision.get('targets', []))}",
        *(line for told in story_order(story) for line in _told(*told)),
        f"cost ${usd_text(line.cost_usd)} ({line.billing}), {line.latency_ms} ms,"
        f" {story.input_tokens} tokens in, {story.output_tokens} out",
    ]


def _told(step: FallbackStory | None, attempt: AttemptStory | None) -> list[str]:
    return [*([_fallback(step)] if step else []), *([_attempt(attempt)] if attempt else [])]


def _attempt(attempt: AttemptStory) -> str:
    what = attempt.outcome
    if attempt.failure:
        status = f" HTTP {attempt.status}" if attempt.status else ""
        what = f"{attempt.outcome}: {attempt.failure}{status}, {attempt.message}"
    if attempt.fault:
        what += f" [injected by fire drill {attempt.drill_id}]"
    return (
        f"  +{attempt.offset_ms:>5} ms  attempt {attempt.number}  {attempt.provider}/{attempt.model}"
        f"  ({attempt.reason})  {attempt.latency_ms} ms  {what}"
    )


def _fallback(step: FallbackStory) -> str:
    return (
        f"  +{step.after_ms:>5} ms  fallback from {step.from_target} to {step.to_target}"
        f"  because {step.reason}; {extra_words(step.extra_cost_usd)}"
    )
