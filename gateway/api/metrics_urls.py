"""`/metrics` by itself, so that a process that is only scraped doesn't read in the back office."""

from django.urls import path

from gateway.api.metrics_page import metrics

urlpatterns = [path("metrics", metrics)]
