"""The back office's addresses alone, so that its tests need nothing of the API."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("gateway.dashboard.urls")),
]
