"""Addresses of the dashboard's pages, and of the parts of them that refresh themselves."""

from django.urls import path

from gateway.dashboard import completion_page, conversation_pages, drill_page, overview, provider_page, spend_page

app_name = "dashboard"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("spend/", spend_page.spend, name="spend"),
    path("spend/table.csv", spend_page.spend_table, name="spend-csv"),
    path("completions/<str:request_id>/", completion_page.completion, name="completion"),
    path("providers/<str:name>/", provider_page.provider, name="provider"),
    path("providers/<str:name>/live/", provider_page.provider_live, name="provider-live"),
    path("providers/<str:name>/act/", provider_page.provider_act, name="provider-act"),
    path("conversations/", conversation_pages.conversations, name="conversations"),
    path("conversations/<str:conversation>/", conversation_pages.conversation, name="conversation"),
    path("drills/<int:drill_id>/", drill_page.drill, name="drill"),
    path("drills/<int:drill_id>/stop/", drill_page.stop, name="drill_stop"),
    path("dashboard/drills/", overview.drills, name="drills"),
    path("dashboard/providers/", overview.providers, name="providers"),
    path("dashboard/service/", overview.service, name="service"),
    path("dashboard/figures/", overview.figures, name="figures"),
    path("dashboard/recent/", overview.recent, name="recent"),
]
