"""Joining the rest of a text to its beginning: repetitions go, nothing else does."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.wires.overlap import WINDOW_CHARACTERS, Join, Overlap, Whitespace, overlap


def joined(join: Join, pieces: list[str]) -> str:
    return "".join([*(join.feed(piece) for piece in pieces), join.flush()])


def cut(text: str, at: list[int]) -> list[str]:
    edges = [0, *sorted(min(each, len(text)) for each in at), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


CUTS = st.lists(st.integers(0, 300), max_size=5)
NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
]


@pytest.mark.parametrize(
    ("sent", "rest", "repeated"),
    [
        ("The quick brown", " fox", ""),
        ("The quick brown", "brown fox", "brown"),
        ("The quick brown", " brown fox", " brown"),
        ("The quick bro", "brown fox", "bro"),
        ("The quick ", "quick brown", "quick "),
        ("The quick brown", "The quick brown fox", "The quick brown"),
        ("The qui", "The quick", "The qui"),
        ("One sentence. Another", "sentence. Another one", "sentence. Another"),
        ("unquestionably-so", "questionably-so it is", "questionably-so"),
        ("ÄÖÜß grün", "grün", "grün"),
    ],
)
def test_what_says_the_end_again_is_a_repetition(sent: str, rest: str, repeated: str) -> None:
    assert overlap(sent, rest) == len(repeated)


@pytest.mark.parametrize(
    ("sent", "rest"),
    [
        ("I have se", "en it"),
        ("It is al", "l there"),
        ("costs 1", "1 dollars"),
        ("100 100 ", "100 100"),
        ("| --- |", " --- | --- |"),
        ("-" * 40, "-" * 40 + "\n"),
        ("def f():\n" + " " * 16, " " * 16 + "x"),
        ("line\n", "\n- item"),
        ("this can", "cannot be"),
        ("", "anything"),
        ("anything", ""),
    ],
)
def test_what_may_be_chance_or_a_text_that_repeats_itself_stays(sent: str, rest: str) -> None:
    assert overlap(sent, rest) == (3 if sent == "this can" else 0)


@given(st.text(max_size=200), st.integers(0, 200), CUTS)
@example("Hello \n\n world", 7, [])
@example("aaaa aaaa aaaa", 5, [1])
def test_after_a_prefill_any_text_split_anywhere_is_the_text_again(text: str, at: int, cuts: list[int]) -> None:
    """The model goes on from the text without its white space at the end."""
    sent = text[:at]
    said_again = text[len(sent.rstrip()) :]
    assert sent + joined(Whitespace(sent), cut(said_again, cuts)) == text


def test_after_a_prefill_a_model_may_leave_the_white_space_out() -> None:
    assert joined(Whitespace("Hello "), ["wor", "ld"]) == "world"


@given(st.permutations(NUMBERS), st.integers(1, 100), st.integers(0, 16), CUTS)
def test_after_an_instruction_a_text_with_any_words_repeated_is_the_text_again(
    words: list[str], at: int, repeated_words: int, cuts: list[int]
) -> None:
    """The rest begins with the last so many words of what was sent, whole ones and perhaps the one it broke off in."""
    text = " ".join(words)
    sent, rest = text[:at], text[at:]
    starts = [0, *(at + 1 for at, character in enumerate(sent) if character == " ")]
    start = starts[-repeated_words] if 0 < repeated_words <= len(starts) else len(sent)
    repetition = sent[start:]
    if sum(map(str.isalpha, repetition)) < 3:
        repetition = ""
    assert sent + joined(Overlap(sent), cut(repetition + rest, cuts)) == text


@given(st.text(alphabet="ab \n", max_size=60), st.text(alphabet="ab \n", max_size=60), CUTS)
def test_what_goes_is_always_what_was_sent_and_how_the_rest_is_cut_makes_no_difference(
    sent: str, rest: str, cuts: list[int]
) -> None:
    new = joined(Overlap(sent), cut(rest, cuts))
    assert rest.endswith(new)
    assert sent.endswith(rest[: len(rest) - len(new)])
    assert new == joined(Overlap(sent), [rest])


def test_an_exact_continuation_is_held_back_for_a_few_characters_only() -> None:
    join = Overlap("The quick brown fox jumps over the lazy dog and ")
    assert join.feed("t") == ""
    assert join.feed("hen") == "then"
    assert join.feed("t") == "t"


def test_what_is_held_back_is_bounded() -> None:
    join = Overlap("ab" * WINDOW_CHARACTERS)
    given_out = "".join(join.feed("ab" * 1024) for _ in range(WINDOW_CHARACTERS // 1024))
    assert given_out
