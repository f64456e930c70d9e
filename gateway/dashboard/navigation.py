"""The back office's sidebar. `UNFOLD["SIDEBAR"]["navigation"]` names `sidebar` as text, so settings import nothing."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from gateway.dashboard.links import model_list_url

# Title, symbol (Material Symbols), name of the address: for everybody who is let in.
_OPEN_PAGES = (
    ("Overview", "monitoring", "dashboard:overview"),
    ("Spend", "payments", "dashboard:spend"),
)
# Title, symbol (Material Symbols), model. A model that isn't registered or that the user may not see is left out.
_WATCH = (
    ("Fallbacks", "alt_route", "gateway.Fallback"),
    ("Batches", "stacks", "gateway.Batch"),
    ("Feedback", "thumbs_up_down", "gateway.Feedback"),
    ("Fire drills", "local_fire_department", "gateway.Drill"),
    ("Incidents", "emergency_home", "gateway.Alert"),
    ("Alert messages", "outgoing_mail", "gateway.AlertDelivery"),
)
# Pages of the dashboard, for those who may see the rows they are made of: title, symbol, model, page.
_PAGES = (
    ("Requests", "receipt_long", "gateway.Completion", "requests"),
    ("Conversations", "forum", "gateway.Conversation", "conversations"),
    ("Savings", "savings", "gateway.Completion", "savings"),
    ("Simple queries", "call_split", "gateway.Completion", "simple"),
    ("Breakers", "electrical_services", "gateway.BreakerStatus", "breakers"),
)
_CONFIGURE = (
    ("Providers", "cloud", "gateway.Provider"),
    ("Routes", "route", "gateway.Route"),
    ("Teams", "groups", "gateway.Team"),
    ("API keys", "key", "gateway.ApiKey"),
    ("Workloads", "category", "gateway.Workload"),
    ("Scorer rules", "balance", "gateway.SimpleRules"),
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
    pages = [_page(*entry, request) for entry in _OPEN_PAGES]
    return [
        {"items": [*pages, *_pages(request), *_items(request, _WATCH)]},
        {"title": "Configuration", "separator": True, "items": [*_items(request, _CONFIGURE), *_models(request)]},
        {"title": "People", "separator": True, "items": _items(request, _PEOPLE)},
    ]


def _page(title: str, icon: str, name: str, request: HttpRequest) -> dict[str, Any]:
    link = reverse(name)
    return {"title": title, "icon": icon, "link": link, "active": request.path == link}


def _pages(request: HttpRequest) -> list[dict[str, Any]]:
    pages = [
        (title, icon, reverse(f"dashboard:{name}"))
        for title, icon, label, name in _PAGES
        if model_list_url(request, label)
    ]
    return [
        {"title": title, "icon": icon, "link": link, "active": request.path.startswith(link)}
        for title, icon, link in pages
    ]


def _models(request: HttpRequest) -> list[dict[str, Any]]:
    """The catalogue, for those who may see prices."""
    if not model_list_url(request, "gateway.Price"):
        return []
    link = reverse("dashboard:models")
    return [{"title": "Models", "icon": "deployed_code", "link": link, "active": request.path.startswith(link)}]


def _items(request: HttpRequest, entries: tuple[tuple[str, str, str], ...]) -> list[dict[str, Any]]:
    links = ((title, icon, model_list_url(request, label)) for title, icon, label in entries)
    return [
        {"title": title, "icon": icon, "link": link, "active": request.path.startswith(link)}
        for title, icon, link in links
        if link
    ]
