"""Joining the rest of a text to its beginning: what the rest says again is left out.

A repetition can't be told with certainty from a text that really says a thing twice. Only what hardly ever happens by
chance counts as one (`_counts`); an exact continuation, which is the rule, must never lose a character.
"""

from __future__ import annotations

from typing import Protocol

# How far back a repetition is looked for; also bounds what is held back. About 16,000 tokens.
WINDOW_CHARACTERS = 65_536
# An overlap that doesn't begin with a word counts from this length on.
LONG_CHARACTERS = 12
FEWEST_LETTERS = 3


class Join(Protocol):
    """`feed` gives out what of the text may be sent now, `flush` what is still held when no more comes."""

    def feed(self, text: str) -> str: ...

    def flush(self) -> str: ...


class Whitespace:
    """After a prefill, which must not end with white space: the model says the trimmed white space again, no more."""

    def __init__(self, sent: str) -> None:
        self._sent = sent[len(sent.rstrip()) :]
        self._held = ""
        self._decided = not self._sent

    def feed(self, text: str) -> str:
        if self._decided:
            return text
        self._held += text
        return "" if self._sent.startswith(self._held) else self.flush()

    def flush(self) -> str:
        held, self._held, self._decided = self._held, "", True
        return held[_common(self._sent, held) :]


class Overlap:
    """After an instruction: the model may say the last words again, or begin anew."""

    def __init__(self, sent: str) -> None:
        self._sent = sent[-WINDOW_CHARACTERS:]
        self._held = ""
        self._decided = False

    def feed(self, text: str) -> str:
        """Held back as long as what came is part of what was sent, for it may yet turn out to be its end."""
        if self._decided:
            return text
        self._held += text
        return "" if self._held in self._sent else self.flush()

    def flush(self) -> str:
        held, self._held, self._decided = self._held, "", True
        return held[overlap(self._sent, held) :]


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def overlap(sent: str, rest: str) -> int:
    """How many characters at the beginning of `rest` repeat the end of `sent`."""
    return next((length for length in _overlaps(sent, rest) if _counts(sent, length)), 0)


def _counts(sent: str, length: int) -> bool:
    """Whether an overlap so long is a repetition: some letters from a word's beginning on, or more from anywhere."""
    said = sent[-length:]
    if sum(map(str.isalpha, said)) < FEWEST_LETTERS:
        return False
    begins_word = length == len(sent) or said[0].isspace() or sent[-length - 1].isspace()
    return begins_word or length >= LONG_CHARACTERS


def _overlaps(sent: str, rest: str) -> list[int]:
    """The lengths of all prefixes of `rest` that `sent` ends with, longest first (Knuth, Morris, Pratt)."""
    borders = _borders(rest)
    length = 0
    for character in sent[-len(rest) :] if rest else "":
        while length and (length == len(rest) or rest[length] != character):
            length = borders[length - 1]
        if rest[length] == character:
            length += 1
    found = []
    while length:
        found.append(length)
        length = borders[length - 1]
    return found


def _borders(text: str) -> list[int]:
    """For each prefix of `text` the length of its longest proper prefix that is also its suffix."""
    borders = [0] * len(text)
    length = 0
    for at in range(1, len(text)):
        while length and text[at] != text[length]:
            length = borders[length - 1]
        if text[at] == text[length]:
            length += 1
        borders[at] = length
    return borders
