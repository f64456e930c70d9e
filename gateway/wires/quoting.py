"""What an error quotes of a client's request: enough to recognise it, never all of it."""

from __future__ import annotations

from typing import Any

MAX_QUOTED_CHARACTERS = 60


def quoted(value: Any) -> str:
    """The value in quotation marks, cut: it may be as long as a body, and goes into replies, headers and logs."""
    text = value if isinstance(value, str) else type(value).__name__
    return repr(text if len(text) <= MAX_QUOTED_CHARACTERS else text[:MAX_QUOTED_CHARACTERS] + "…")
