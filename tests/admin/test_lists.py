"""How every list of the admin looks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client

from tests.selectors.rows import add_completion, add_fallback

pytestmark = pytest.mark.django_db


def test_a_list_tells_times_as_the_dashboard_does(admin_client: Client) -> None:
    add_fallback(add_completion("r", at=datetime(2026, 11, 22, 13, 5, 9, tzinfo=UTC)))

    body = admin_client.get("/admin/gateway/fallback/").content.decode()
    assert "22 Nov 2026, 13:05:09" in body


def test_a_list_brings_the_style_sheet_of_every_page(admin_client: Client) -> None:
    assert "gateway/unfold" in admin_client.get("/admin/gateway/route/").content.decode()
