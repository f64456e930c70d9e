"""Addresses of the dashboard's pages, and of the parts of them that refresh themselves."""

from django.urls import path

from gateway.dashboard import (
    breakers_page,
    completion_page,
    content_page,
    conversation_pages,
    drill_page,
    forget_page,
    model_pages,
    overview,
    provider_page,
    request_pages,
    savings_page,
    simple_page,
    spend_page,
)

app_name = "dashboard"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("requests/", request_pages.requests, name="requests"),
    path("requests/live/", request_pages.requests_live, name="requests-live"),
    path("spend/", spend_page.spend, name="spend"),
    path("spend/table.csv", spend_page.spend_table, name="spend-csv"),
    path("savings/", savings_page.savings_page, name="savings"),
    path("simple/", simple_page.simple, name="simple"),
    path("completions/<str:request_id>/", completion_page.completion, name="completion"),
    path("completions/<str:request_id>/content/", content_page.content, name="content"),
    path("providers/<str:name>/", provider_page.provider, name="provider"),
    path("providers/<str:name>/live/", provider_page.provider_live, name="provider-live"),
    path("providers/<str:name>/act/", provider_page.provider_act, name="provider-act"),
    path("breakers/", breakers_page.breakers, name="breakers"),
    path("breakers/live/", breakers_page.breakers_live, name="breakers-live"),
    path("breakers/act/", breakers_page.breakers_act, name="breakers-act"),
    path("conversations/", conversation_pages.conversations, name="conversations"),
    path("conversations/<str:conversation>/", conversation_pages.conversation, name="conversation"),
    path("conversations/<str:conversation>/forget/", forget_page.forget, name="conversation-forget"),
    path("drills/<int:drill_id>/", drill_page.drill, name="drill"),
    path("drills/<int:drill_id>/stop/", drill_page.stop, name="drill_stop"),
    path("models/", model_pages.catalogue, name="models"),
    path("models/forget/", model_pages.forget, name="models-forget"),
    path("models/targets/<int:target_id>/successor/", model_pages.succeed, name="succeed"),
    path("dashboard/drills/", overview.drills, name="drills"),
    path("dashboard/providers/", overview.providers, name="providers"),
    path("dashboard/service/", overview.service, name="service"),
    path("dashboard/figures/", overview.figures, name="figures"),
    path("dashboard/recent/", overview.recent, name="recent"),
]
