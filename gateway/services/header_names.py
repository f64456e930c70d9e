"""Names that a client chose, told in a header: they may be anything JSON can write."""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_NAMES = 40
MAX_NAME_CHARACTERS = 80

_UNFIT = re.compile(r"[^A-Za-z0-9._\[\]-]")


def names_in_header(names: Sequence[str]) -> str:
    """The names, comma-separated; what a header can't carry is a `?`, what is too much is cut."""
    told = [_UNFIT.sub("?", name[:MAX_NAME_CHARACTERS]) for name in names[:MAX_NAMES]]
    left_out = len(names) - len(told)
    return ", ".join(told) + (f", and {left_out} more" if left_out else "")
