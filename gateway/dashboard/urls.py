"""Addresses of the dashboard's pages, and of the parts of them that refresh themselves."""

from django.urls import path

from gateway.dashboard import completion_page, conversation_pages, overview

app_name = "dashboard"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("completions/<str:request_id>/", completion_page.completion, name="completion"),
    path("conversations/", conversation_pages.conversations, name="conversations"),
    path("conversations/<str:conversation>/", conversation_pages.conversation, name="conversation"),
    path("dashboard/providers/", overview.providers, name="providers"),
    path("dashboard/figures/", overview.figures, name="figures"),
    path("dashboard/recent/", overview.recent, name="recent"),
]
