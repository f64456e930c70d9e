"""The agents' API by itself, so that answering it doesn't read in the back office."""

from django.urls import path

from gateway.api.public import api

urlpatterns = [path("", api.urls)]
