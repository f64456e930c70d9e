"""The estimate of a message's tokens: text by its length, whatever it is wrapped in; pictures at a usual size."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.wires import count_tokens_estimate

from .helpers import messages, text, tool_result, user

LONG = "word " * 10_000
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "A" * 50_000}}


@pytest.mark.parametrize(
    "block",
    [
        text(LONG),
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": LONG}},
        {"type": "document", "source": {"type": "content", "content": [text(LONG)]}},
        tool_result("c1", LONG),
        {"type": "search_result", "source": "s", "title": "t", "content": [text(LONG)]},
    ],
)
def test_text_weighs_the_same_wherever_it_stands(block: dict[str, Any]) -> None:
    assert count_tokens_estimate(messages(user([block]))) == pytest.approx(len(LONG) / 3.5, rel=0.01)


def test_a_file_weighs_what_files_usually_do() -> None:
    assert 1500 < count_tokens_estimate(messages(user([PDF]))) < 2000
