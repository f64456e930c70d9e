"""Where everything is: the agents' API, the operators' API, the back office."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from gateway.admin.people import password_page
from gateway.api.operators import urls as operators_urls
from gateway.dashboard.admin_index import admin_index
from gateway.dashboard.favicon import favicon

admin.autodiscover()

urlpatterns = [
    path("admin/", admin.site.admin_view(admin_index)),
    path("admin/password_change/", admin.site.admin_view(password_page, cacheable=True)),
    path("admin/", admin.site.urls),
    path("api/", operators_urls()),
    path("", include("gateway.api.metrics_urls")),
    path("favicon.ico", favicon),
    # Before the agents' API, whose router has a page of its own at "/".
    path("", include("gateway.dashboard.urls")),
    path("", include("gateway.api.public_urls")),
]

handler400 = "gateway.dashboard.error_pages.misunderstood"
handler403 = "gateway.dashboard.error_pages.forbidden"
handler404 = "gateway.dashboard.error_pages.not_found"
handler500 = "gateway.dashboard.error_pages.broken"
