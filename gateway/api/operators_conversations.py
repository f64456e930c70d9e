"""The list of conversations, as the operators' API tells it."""

from __future__ import annotations

from django.utils import timezone

from gateway.api import operators_schemas as schemas
from gateway.api.operators_errors import NotFound
from gateway.engine.errors import InvalidRequest
from gateway.models import Team
from gateway.selectors.conversation_list import ConversationFilter, conversation_page
from gateway.selectors.conversations import NO_TEAM_ID
from gateway.selectors.keyset import Cursor


def conversations_told(wanted: ConversationFilter, *, after: str, limit: int) -> schemas.Conversations:
    """One page. Raises InvalidRequest for an `after` that no page gave."""
    try:
        cursor = Cursor.of(after) if after else None
    except ValueError:
        raise InvalidRequest("after must be the `next` of the page before.", param="after") from None
    page = conversation_page(wanted=wanted, after=cursor, limit=limit, now=timezone.now())
    lines = [schemas.ConversationLine.from_orm(line) for line in page.conversations]
    return schemas.Conversations(conversations=lines, next=str(page.next) if page.next else None)


def team_of(name: str | None) -> int | None:
    """The team's id; None for all of them. Raises NotFound."""
    if name is None:
        return None
    if not name:
        return NO_TEAM_ID
    # Of teams that shared a name the newest.
    found = (
        Team.objects.filter(name=name).order_by("-pk").values_list("pk", flat=True).first()
        if name.isprintable()
        else None
    )
    if found is None:
        raise NotFound(f"There is no team {name[:60]!r}.", param="team")
    return int(found)
