"""Every event has its line in the documents."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.models.words import AlertEvent

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_event_says_when_it_opens_when_it_closes_and_what_to_do() -> None:
    page = (DOCS / "alerts.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|.+\|.+\|.+\|$", page, re.MULTILINE)) == set(AlertEvent)


def test_the_configuration_names_every_event() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert [event for event in AlertEvent if f"`{event}`" not in page] == []
