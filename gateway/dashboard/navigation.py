"""The back office's sidebar. `UNFOLD["SIDEBAR"]["navigation"]` names `sidebar` as text, so settings import nothing."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from gateway.dashboard.links import model_list_url

# Title, symbol (Material Symbols), name of the address: for everybody who is let in.
_PAGES = (
    ("Overview", "monitoring", "dashboard:overview"),
    ("Spend", "payments", "dashboard:spend"),
)
# Title, symbol (Material Symbols), model. A model that isn't registered or that the user may not see is left out.
_WATCH = (
    ("Requests", "receipt_long", "gateway.Completion"),
    ("Fallbacks", "alt_route", "gateway.Fallback"),
    ("Fire drills", "local_fire_department", "gateway.Drill"),
    ("Breakers", "electrical_services", "gateway.BreakerStatus"),
)
_CONFIGURE = (
    ("Providers", "cloud", "gateway.Provider"),
    ("Routes", "route", "gateway.Route"),
    ("Teams", "groups", "gateway.Team"),
    ("API keys", "key", "gateway.ApiKey"),
    ("Prices", "sell", "gateway.Price"),
    ("Budgets", "savings", "gateway.Budget"),
    ("Alert channels", "notifications", "gateway.AlertChannel"),
    ("Organisation", "tune", "gateway.Organisation"),
    ("Changes", "history", "gateway.ConfigurationChange"),
)
_PEOPLE = (
    ("Users", "person", "auth.User"),
    ("Groups", "shield_person", "auth.Group"),
)


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's navigation groups for this user."""
    pages = [_page(request, *entry) for entry in _PAGES]
    return [
        {"items": [*pages, *_conversations(request), *_items(request, _WATCH)]},
        {"title": "Configuration", "separator": True, "items": _items(request, _CONFIGURE)},
        {"title": "People", "separator": True, "items": _items(request, _PEOPLE)},
    ]


def _page(request: HttpRequest, title: str, icon: str, name: str) -> dict[str, Any]:
    link = reverse(name)
    return {"title": title, "icon": icon, "link": link, "active": request.path == link}


def _conversations(request: HttpRequest) -> list[dict[str, Any]]:
    """The pages of conversations, for those who may see their rows."""
    if not model_list_url(request, "gateway.Conversation"):
        return []
    link = reverse("dashboard:conversations")
    active = request.path.startswith(link)
    return [{"title": "Conversations", "icon": "forum", "link": link, "active": active}]


def _items(request: HttpRequest, entries: tuple[tuple[str, str, str], ...]) -> list[dict[str, Any]]:
    links = ((title, icon, model_list_url(request, label)) for title, icon, label in entries)
    return [
        {"title": title, "icon": icon, "link": link, "active": request.path.startswith(link)}
        for title, icon, link in links
        if link
    ]
