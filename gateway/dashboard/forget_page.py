"""Forgetting a conversation: a page that says what goes and what stays, and the one button that does it."""

from __future__ import annotations

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache

from gateway.dashboard.access import render_page, to_login
from gateway.dashboard.conversation_links import conversation_url, team_id_of
from gateway.selectors.conversation_list import ConversationLine, conversation_line
from gateway.services.cache_purge import CacheAway
from gateway.services.forgetting import conversation_forget
from gateway.services.forgetting_rows import is_pseudonym
from gateway.services.permissions import FORGET, missing_words


@never_cache
def forget(request: HttpRequest, conversation: str) -> HttpResponse:
    """GET asks; POST does it. `?team=` says whose conversation it is, as on its page."""
    if not admin.site.has_permission(request):
        return to_login(request)
    if not request.user.has_perm(FORGET):
        raise PermissionDenied(missing_words(FORGET))
    searched = conversation if conversation.isprintable() else ""  # PostgreSQL takes no NUL
    team_id = team_id_of(request, searched)
    line = conversation_line(conversation=searched, team_id=team_id, now=timezone.now())
    if line is None:
        raise Http404("There is no such conversation.")
    if request.method == "POST":
        return _done(request, line, team_id)
    context = {"line": line, "back_url": conversation_url(line.id, team_id)}
    return render_page(request, "dashboard/forget.html", f"Forget {line.id}", context)


def _done(request: HttpRequest, line: ConversationLine, team_id: int) -> HttpResponse:
    actor = request.user.get_username()
    try:
        forgotten = conversation_forget(conversation=line.id, team_id=team_id, team=line.team, actor=actor)
    except CacheAway as away:
        messages.error(request, f"Nothing was forgotten: {away.message}")
        return redirect(conversation_url(line.id, team_id))
    words = f"{forgotten.requests} requests are forgotten; they are {forgotten.name} now."
    if forgotten.under_way:
        words += f" {forgotten.under_way} had not ended and are as they were: do it again when they have."
    messages.success(request, words)
    return redirect(conversation_url(forgotten.name, team_id))


def may_forget(request: HttpRequest, line: ConversationLine) -> bool:
    return not is_pseudonym(line.id) and bool(request.user.has_perm(FORGET))
