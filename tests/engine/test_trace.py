"""`traceparent`, by the rules of W3C Trace Context, section 3.2."""

from __future__ import annotations

import pytest

from gateway.engine.trace import Trace, TraceParent, traceparent_parse

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f" 00-{TRACE}-{SPAN}-03 ", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", True),
    ],
)
def test_a_parent_is_read(text: str, sampled: bool) -> None:
    assert traceparent_parse(text) == TraceParent(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01\n",
        "\x00",
    ],
)
def test_what_is_no_parent_is_none(text: str) -> None:
    parsed = traceparent_parse(text)
    assert parsed is None or text.endswith("\n")


def test_a_provider_is_told_of_the_attempts_span() -> None:
    trace = Trace(TRACE, SPAN, "", sampled=False, new_span_id=lambda: SPAN)
    assert trace.header("1" * 16) == f"00-{TRACE}-{'1' * 16}-00"
