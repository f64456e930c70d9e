"""Addresses of a conversation's page: a conversation belongs to a team, so its id alone may be two of them."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from gateway.selectors.conversations import NO_TEAM_ID, conversation_teams

_TEAM_LONGEST = 18


def conversation_url(conversation: str, team_id: int, **parameters: str) -> str:
    """The team's conversation of this id; `team_id` 0 for keys without a team."""
    address = reverse("dashboard:conversation", args=[conversation])
    return f"{address}?{urlencode({'team': team_id, **parameters})}"


def forget_url(conversation: str, team_id: int) -> str:
    """The page that asks whether to forget it."""
    return f"{reverse('dashboard:conversation-forget', args=[conversation])}?{urlencode({'team': team_id})}"


def team_id_asked(request: HttpRequest) -> int | None:
    """The address's `?team=`; None where it names none that could be."""
    text = request.GET.get("team", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _TEAM_LONGEST else None


def team_id_of(request: HttpRequest, conversation: str) -> int:
    """Whose conversation the address means; without `?team=` the only team that has one, or the first of them."""
    asked = team_id_asked(request)
    return min(conversation_teams(conversation=conversation), default=NO_TEAM_ID) if asked is None else asked
