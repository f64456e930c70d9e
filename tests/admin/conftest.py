"""The admin alone, a member of operations who may do everything, and a little configuration."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import include, path

from gateway.services.apply import configuration_apply
from tests.services.conftest import SMALL

admin.autodiscover()

urlpatterns = [path("admin/", admin.site.urls), path("", include("gateway.dashboard.urls"))]


@pytest.fixture
def operations(client: Client, db: None, settings: Any) -> Client:
    """A browser of somebody who may do everything."""
    settings.ROOT_URLCONF = "tests.admin.conftest"
    settings.UNFOLD = {key: value for key, value in settings.UNFOLD.items() if key != "SIDEBAR"}
    client.force_login(User.objects.create_superuser("operations"))
    return client


@pytest.fixture
def configured(db: None) -> None:
    configuration_apply(SMALL + "teams: [{name: research}]", actor="tester")
