"""Conversations: the list, and one with its totals and its requests in order."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from gateway.dashboard.access import back_office_page, render_page
from gateway.dashboard.conversation_links import conversation_url, forget_url, team_id_asked, team_id_of
from gateway.dashboard.forget_page import may_forget
from gateway.models import Team
from gateway.selectors.conversation_list import (
    ConversationFilter,
    conversation_completions,
    conversation_line,
    conversation_page,
)
from gateway.selectors.conversations import conversation_models
from gateway.selectors.keyset import Cursor

CONVERSATIONS_PER_PAGE = 50
REQUESTS_PER_PAGE = 100


@back_office_page
def conversations(request: HttpRequest) -> HttpResponse:
    team_id, searched = team_id_asked(request), request.GET.get("id", "").strip()
    page = conversation_page(
        wanted=ConversationFilter(team_id=team_id, conversation=_searchable(searched)),
        after=_cursor(request),
        limit=CONVERSATIONS_PER_PAGE,
        now=timezone.now(),
    )
    asked = {"team": "" if team_id is None else team_id, "id": searched}
    context = {
        "rows": [(line, conversation_url(line.id, line.team_id)) for line in page.conversations],
        "teams": Team.objects.alive().order_by("name").values_list("pk", "name"),
        "team_id": team_id,
        "searched": searched,
        "filtered": team_id is not None or bool(searched),
        "first_page": "after" not in request.GET,
        "first_url": f"{reverse('dashboard:conversations')}?{urlencode(asked)}",
        "next_url": f"?{urlencode({**asked, 'after': str(page.next)})}" if page.next else "",
    }
    return render_page(request, "dashboard/conversations.html", "Conversations", context)


@back_office_page
def conversation(request: HttpRequest, conversation: str) -> HttpResponse:
    """`?team=` says whose; without it the only team that has one of this id, or the first of them."""
    team_id = team_id_of(request, _searchable(conversation))
    line = conversation_line(conversation=_searchable(conversation), team_id=team_id, now=timezone.now())
    if line is None:
        missing = {"conversation": conversation}
        return render_page(request, "dashboard/conversation_missing.html", "Conversation", missing, 404)
    completions, following = conversation_completions(
        conversation=line.id, team_id=team_id, after=_cursor(request), limit=REQUESTS_PER_PAGE
    )
    context = {
        "line": line,
        "models": conversation_models(conversation=line.id, team_id=team_id, pending=False),
        "duration_ms": line.duration_seconds * 1000,
        "completions": completions,
        "first_page": "after" not in request.GET,
        "first_url": conversation_url(line.id, team_id),
        "forget_url": forget_url(line.id, team_id) if may_forget(request, line) else "",
        "next_url": conversation_url(line.id, team_id, after=str(following)) if following else "",
    }
    return render_page(request, "dashboard/conversation.html", f"Conversation {line.id}", context)


def _cursor(request: HttpRequest) -> Cursor | None:
    """An address that somebody has cut short begins at the beginning."""
    try:
        return Cursor.of(request.GET.get("after", ""))
    except ValueError:
        return None


def _searchable(text: str) -> str:
    return text if text.isprintable() else ""
