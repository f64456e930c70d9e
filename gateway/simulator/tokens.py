"""The simulator's own tokenizer: about four characters of English to a token.

It shares nothing with the gateway, on purpose: an estimate made with the same code is never caught out.
"""

import re
from functools import lru_cache

# Every character belongs to exactly one piece, so "".join(split(text)) == text, and a piece is at least one
# character, so a text never has more tokens than UTF-8 bytes.
_PIECE = re.compile(r" ?[a-zA-Z]{1,6}|[^\W\d_a-zA-Z]{1,2}|\d{1,3}| ?[^\s\w]{1,3}|_|\s")

# Only short texts are remembered: the benchmark repeats its prompts, and memory stays within tens of MB.
_REMEMBERED_CHARACTERS = 4096


def split(text: str) -> list[str]:
    """The pieces of a text, in order and without loss."""
    return _PIECE.findall(text)


def count(text: str) -> int:
    """How many tokens a text has."""
    if len(text) <= _REMEMBERED_CHARACTERS:
        return _remembered_count(text)
    return len(split(text))


@lru_cache(maxsize=4096)
def _remembered_count(text: str) -> int:
    return len(_PIECE.findall(text))
