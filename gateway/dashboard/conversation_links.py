"""Addresses of a conversation's page: a conversation belongs to a team, so its id alone may be two of them."""

from __future__ import annotations

from urllib.parse import urlencode

from django.urls import reverse


def conversation_url(conversation: str, team_id: int, **parameters: str) -> str:
    """The team's conversation of this id; `team_id` 0 for keys without a team."""
    address = reverse("dashboard:conversation", args=[conversation])
    return f"{address}?{urlencode({'team': team_id, **parameters})}"
