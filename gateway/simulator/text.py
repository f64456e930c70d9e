"""Believable text, and what a user message may order the simulator to say.

``[[say: TEXT]]`` answers exactly TEXT, ``[[tokens: N]]`` exactly N tokens, ``[[tool: name {json}]]`` calls
that tool (may be repeated, and stand beside a ``say``).
"""

import random
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from gateway.simulator.tokens import split

MAX_ORDERED_TOKENS = 200_000
_VARIANTS = 1024  # texts are drawn from so many, so that a busy benchmark generates none
_TOPIC_WORDS = 6

_SENTENCES = (
    "The short answer is that it depends on how often the work repeats.",
    "Start with the part that fails most often and measure it before changing anything.",
    "In most teams the simplest arrangement that works is also the cheapest to run.",
    "A small table with three columns usually makes the difference plain.",
    "First, write down what a good result looks like; second, compare it with today's.",
    "The numbers from last week point the same way, although the sample is small.",
    "Two things matter here: the order of the steps, and who is told when one fails.",
    "It helps to keep the old way running beside the new one for a few days.",
    "Most of the delay comes from waiting, not from the work itself.",
    "If the input is empty, say so early rather than guessing.",
    "A careful reader will notice that both options lead to the same place.",
    "The second approach costs a little more but is far easier to explain.",
    "Keep the names short and the units visible.",
    "There is one exception, and it concerns requests that arrive after midnight.",
    "You can check this yourself by repeating the measurement with a larger batch.",
    "Where several people share a budget, the limit should be visible to all of them.",
    "Nothing in the record suggests that the change was made on purpose.",
    "That said, the risk is low and the fix can be undone in minutes.",
    "The usual advice is to cache what repeats and to batch what can wait.",
    "When in doubt, prefer the option that leaves a trace somebody can read.",
    "One more detail: the totals are exact, while the averages are rounded.",
    "In short, yes, provided the key is valid and the route is enabled.",
    "The report lists each step with its time, its cost and its outcome.",
    "Let me know whether you would like the longer version with sources.",
)


class Turn(NamedTuple):
    """One message's text: role ``user``, ``assistant`` or ``tool``."""

    role: str
    text: str


class Orders(NamedTuple):
    """What the conversation orders: a text, tool calls as (name, arguments as JSON), or nothing."""

    text: str | None
    calls: tuple[tuple[str, str], ...]


NO_ORDERS = Orders(None, ())

_SAY = re.compile(r"\[\[say: ?(.*?)\]\](?!\])", re.DOTALL)
_TOKENS = re.compile(r"\[\[tokens: ?(\d{1,9})\]\]")
_ASKS_FOR_REST = re.compile(r"interrupt|cut off|broke off", re.IGNORECASE)
_TOOL = re.compile(r"\[\[tool: ?([\w-]+)\s*(\{.*?\})?\s*\]\](?!\])", re.DOTALL)


def orders(turns: Sequence[Turn]) -> Orders:
    """The orders in force at the end of these turns.

    A trailing assistant turn (a prefill) or one followed by a user turn without orders ("go on") is
    continued: what it already says of the ordered text is not said again.
    """
    if not turns or not any("[[" in turn.text for turn in turns[-3:]):
        return NO_ORDERS
    last = turns[-1]
    if last.role == "assistant":
        return _continued(turns[:-1], last.text)
    found = _own_orders(last)
    if found != NO_ORDERS or len(turns) < 2 or turns[-2].role != "assistant" or last.role == "tool":
        return found
    return _continued(turns[:-2], turns[-2].text, last.text)


def _continued(before: Sequence[Turn], said: str, request: str | None = None) -> Orders:
    """The rest of the ordered text; nothing is left of one that was said whole. `request` is the user turn that asks to
    go on, None for a prefill; where it speaks of something else nothing is ordered."""
    found = _own_orders(before[-1]) if before else NO_ORDERS
    rest_wanted = found.text != said or request is None or _ASKS_FOR_REST.search(request)
    if found.text is not None and said and found.text.startswith(said) and rest_wanted:
        return Orders(found.text[len(said) :], ())
    return found if request is None else NO_ORDERS


def _own_orders(turn: Turn) -> Orders:
    if "[[" not in turn.text or turn.role == "assistant":
        return NO_ORDERS
    calls = tuple((name, arguments or "{}") for name, arguments in _TOOL.findall(turn.text))
    said = _SAY.search(turn.text)
    if said:
        return Orders(said.group(1), calls)
    counted = _TOKENS.search(turn.text)
    if counted:
        return Orders(text_of_length(min(int(counted.group(1)), MAX_ORDERED_TOKENS)), calls)
    return Orders(None, calls)


@lru_cache(maxsize=64)
def text_of_length(tokens: int) -> str:
    """A text of exactly so many tokens; a longer one begins with the shorter."""
    paragraph = " ".join(_SENTENCES) + "\n"
    pieces = split(paragraph)
    rounds = tokens // len(pieces) + 1
    return "".join((pieces * rounds)[:tokens])


def prose(seed: int, about: str) -> list[str]:
    """The tokens of a few sentences about the question; the same seed and question give the same."""
    return _prose(seed % _VARIANTS, _topic(about))


@lru_cache(maxsize=4096)
def _prose(variant: int, topic: str) -> list[str]:
    draw = random.Random(variant)
    sentences = draw.sample(_SENTENCES, draw.randint(2, 6))
    lead = f"About “{topic}”: " if topic else ""
    return split(lead + " ".join(sentences))


def _topic(question: str) -> str:
    return " ".join(re.findall(r"[\w'-]+", question[-200:])[-_TOPIC_WORDS:])
