"""Deleting stored content through the operators' API. Nothing here ever reads it."""

from __future__ import annotations

from ninja import Schema
from pydantic import Field

from gateway.services.content_retention import conversation_content_forget

MAY_FORGET = "gateway.delete_stored_content"


class ContentForgotten(Schema):
    forgotten: int = Field(description="Requests whose content was kept until now.")


def content_forgotten(conversation: str, team_id: int, team: str, actor: str) -> ContentForgotten:
    count = conversation_content_forget(conversation=conversation, team_id=team_id, team=team, actor=actor)
    return ContentForgotten(forgotten=count)
