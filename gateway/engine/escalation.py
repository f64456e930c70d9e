"""From the cheap model to the strong one: an answer that isn't good enough is kept while the next target is asked.

A plain answer always can be; a stream as long as nothing of it has been given out: held back by `buffer`, or over
before its first piece was (docs/simple-model.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.engine.attempt import Attempt
from gateway.engine.exchange import Answer
from gateway.engine.live_stream import Leg
from gateway.engine.words import FinishReason

NOT_GOOD_ENOUGH = frozenset({FinishReason.REFUSAL, FinishReason.LENGTH})
_WORDS = {
    FinishReason.REFUSAL: "the cheap model refused to answer",
    FinishReason.LENGTH: "the cheap model's answer was cut off by the length limit",
}


@dataclass(slots=True)
class PassedOver:
    """What the cheap model answered. `give_out` gives it to the client after all: an error would be worse."""

    reply: Answer | Leg
    attempt: Attempt
    reason: str
    given_out: bool = False

    @classmethod
    def of(cls, reply: Answer | Leg, attempt: Attempt) -> PassedOver:
        assert reply.finish_reason is not None
        attempt.passed_over = reply.finish_reason
        return cls(reply, attempt, _WORDS[reply.finish_reason])

    def give_out(self) -> Answer | Leg:
        self.attempt.passed_over, self.given_out = None, True
        return self.reply
