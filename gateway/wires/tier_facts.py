"""What a request's body tells about how demanding it is: cheap facts, from a bounded stretch of its text.

Nothing here is thrown at a body of any size: messages, parts and characters that are looked at have limits, and a
request beyond them is a long one.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.engine.tier import Facts, Feature
from gateway.engine.words import Wire
from gateway.wires.words import ParsedRequest

MESSAGES_READ = 32
PARTS_READ = 64
TEXT_READ = 4_000  # characters of the last message
SYSTEM_PROMPT_READ = 2_000  # what its fingerprint is made from: later parts often hold dates and names
FINGERPRINT_CHARACTERS = 16
TAGS_READ = 16
TAG_CHARACTERS = 200

_IMAGES = frozenset({"image", "image_url", "input_image"})
# Telling words, in lower case, and marks that no word boundary separates. Plain look-ups: patterns with alternatives
# would take milliseconds for a long query.
_WORDS: Mapping[Feature, str] = {
    Feature.CODE: "code function regex sql python javascript typescript rust java def class import select script api",
    Feature.MATHS: "prove proof equation equations integral derivative probability theorem matrix percent calculate "
    "solve polynomial sum total",
    Feature.REASONING: "why explain analyse analyze compare contrast evaluate design plan strategy derive debug "
    "optimise optimize implement critique tradeoff tradeoffs argue essay implications consequences",
    Feature.CONSTRAINTS: "must exactly without ensure assume assuming",
    Feature.EASY_TASK: "translate summarise summarize classify categorise categorize rephrase rewrite spell spelling "
    "define synonym synonyms extract sentiment hello thanks",
}
_FEATURE_OF_WORD: Mapping[str, Feature] = {word: feature for feature, words in _WORDS.items() for word in words.split()}
_MARKS: Mapping[Feature, tuple[str, ...]] = {
    Feature.CODE: ("```", "=>", ");", "#include", "};", "</"),
    Feature.MATHS: ("=", "^", "√", "∫", "∑", "≤", "≥", "how many", "how much"),
    Feature.REASONING: ("step by step", "step-by-step", "pros and cons", "trade-off"),
    Feature.CONSTRAINTS: ("at least", "at most", "only if", "not more than"),
    Feature.EASY_TASK: ("capital of", "what is", "who is", "who was", "who wrote", "definition of", "yes or no"),
}
# So many finds are a whole feature.
_ENOUGH: Mapping[Feature, int] = {
    Feature.CODE: 2,
    Feature.MATHS: 3,
    Feature.REASONING: 2,
    Feature.CONSTRAINTS: 3,
    Feature.EASY_TASK: 1,
}
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class Reading:
    """`facts` without features and without the caller's word; `text` is what features are measured from.

    `system_fingerprint` is "" without a system prompt; `tags` are "name=value" of the request's metadata.
    """

    facts: Facts
    text: str
    system_characters: int
    system_fingerprint: str
    tags: tuple[str, ...]


def read_for_tier(surface: Wire, parsed: ParsedRequest) -> Reading:
    """Of a Chat Completions or Messages request whose messages have been checked."""
    payload = parsed.payload
    messages = payload["messages"]
    few = len(messages) <= MESSAGES_READ
    seen = _Seen()
    system = _system_of(surface, payload, messages[:MESSAGES_READ], seen)
    roles = [message["role"] for message in messages[:MESSAGES_READ]]
    for message in messages[:MESSAGES_READ]:
        if not _is_system(message):
            seen.text_of(message.get("content"))
    text = seen.last
    facts = Facts(
        tools=parsed.has_tools or bool(payload.get("mcp_servers")) or "tool" in roles or seen.tools,
        images=seen.images,
        documents=seen.documents,
        structured_output=_wants_structure(payload),
        mid_conversation="assistant" in roles,
        input_characters=seen.characters if few and not seen.too_many else None,
        words=len(text[:TEXT_READ].split()),
    )
    return Reading(facts, text[:TEXT_READ], len(system), _fingerprint(system), tuple(_tags(payload)))


def with_features(reading: Reading, parsed: ParsedRequest) -> Reading:
    """Each feature as a number from 0 to 1, with three decimals, so that what is stored is what was used."""
    text = reading.text
    words = reading.facts.words
    measured: dict[Feature, float] = {
        **_telling(text.lower()),
        Feature.LENGTH: words / 150,
        Feature.LINES: text.count("\n") / 20,
        Feature.QUESTIONS: max(0, text.count("?") - 1) / 2,
        Feature.LONG_WORDS: (len(text) / max(words, 1) - 5) / 5,
        Feature.LONG_SYSTEM_PROMPT: reading.system_characters / 4_000,
        Feature.LONG_OUTPUT: (parsed.max_output_tokens or 0) / 4_000,
    }
    features = {name.value: round(min(max(value, 0.0), 1.0), 3) for name, value in measured.items()}
    kept = {name: value for name, value in features.items() if value}
    return replace(reading, facts=replace(reading.facts, features=kept))


class _Seen:
    """What has been met while reading, within limits."""

    def __init__(self) -> None:
        self.characters = 0
        self.images = self.documents = self.tools = self.too_many = False
        self.last = ""
        self._parts = 0

    def text_of(self, content: Any) -> str:
        """The content's text, cut where no more of it is needed; the last one asked for stays in `last`."""
        if isinstance(content, str):
            self.characters += len(content)
            self.last = content[:TEXT_READ]
        elif isinstance(content, list):
            self.last = "\n".join(self._texts(content))
        else:
            self.last = ""
        return self.last

    def _texts(self, parts: list[Any]) -> Iterator[str]:
        for part in parts:
            self._parts += 1
            if self._parts > PARTS_READ:
                self.too_many = True
                return
            kind, text = part.get("type"), part.get("text")
            if kind == "text" and isinstance(text, str):
                self.characters += len(text)
                yield text[:TEXT_READ]
            else:
                self._note(kind)

    def _note(self, kind: Any) -> None:
        if kind in _IMAGES:
            self.images = True
        elif kind in ("tool_use", "tool_result"):
            self.tools = True
        else:
            self.documents = True


def _is_system(message: Mapping[str, Any]) -> bool:
    return message["role"] in ("system", "developer")


def _system_of(surface: Wire, payload: Mapping[str, Any], messages: list[dict[str, Any]], seen: _Seen) -> str:
    if surface is Wire.ANTHROPIC:
        content = payload.get("system")
        blocks = isinstance(content, list) and not all(isinstance(block, dict) for block in content)
        return "" if content is None or blocks else seen.text_of(content)
    return "\n".join(seen.text_of(message.get("content")) for message in messages if _is_system(message))


def _fingerprint(system: str) -> str:
    if not system:
        return ""
    read = system[:SYSTEM_PROMPT_READ].encode("utf-8", "surrogatepass")
    return hashlib.sha256(read).hexdigest()[:FINGERPRINT_CHARACTERS]


def _wants_structure(payload: Mapping[str, Any]) -> bool:
    config = payload.get("output_config")
    found = [payload.get("response_format"), payload.get("output_format")]
    found.append(config.get("format") if isinstance(config, dict) else None)
    return any(one is not None and not (isinstance(one, dict) and one.get("type") == "text") for one in found)


def _tags(payload: Mapping[str, Any]) -> Iterator[str]:
    metadata = payload.get("metadata")
    if not isinstance(metadata, dict):
        return
    for name, value in list(metadata.items())[:TAGS_READ]:
        if isinstance(value, str) and len(name) + len(value) < TAG_CHARACTERS:
            yield f"{name}={value}"


def _telling(lowered: str) -> dict[Feature, float]:
    """The features that telling words and marks make."""
    counts = Counter(filter(None, map(_FEATURE_OF_WORD.get, _WORD.findall(lowered))))
    for feature, marks in _MARKS.items():
        counts[feature] += sum(map(lowered.count, marks))
    return {feature: counts[feature] / enough for feature, enough in _ENOUGH.items()}
